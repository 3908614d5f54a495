"""Sound as numbers: clips, and the files they are kept and sent in."""
