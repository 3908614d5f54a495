"""Fine-tuning of language models: prompts in, an adapter out."""
