"""Wake words: from a few recordings to a detector."""
