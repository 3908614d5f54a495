"""What the gateway remembers: outside services, people and what they may call, what was called."""
