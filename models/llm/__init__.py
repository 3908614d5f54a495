"""What the fine-tuning of language models remembers: prompts, sessions, and the workers that train."""
