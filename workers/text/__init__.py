"""From written text to pieces an engine can say in one breath."""
