"""Watching a public log from outside: for one look (`log verify`), or again and again (`log monitor`)."""
