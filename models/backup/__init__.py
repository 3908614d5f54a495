"""What was configured as one file: which sections there are, how each is read and written, how secrets are kept."""
