"""Backups: a directory as a PAX tar inside a standard age file, encrypted with the backup key K. Streams both ways."""
