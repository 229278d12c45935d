"""Static pages for people: files that any web server serves, and that check in the reader's browser what they show."""
