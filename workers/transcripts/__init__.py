"""Sound that people transcribe: what is known of it, and how near two texts of it are."""
