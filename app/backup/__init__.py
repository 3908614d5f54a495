"""Backups as they leave and come in: what is checked of every record, how files are made and restored."""
