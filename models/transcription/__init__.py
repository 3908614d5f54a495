"""Transcription by people: tasks, who has which, what they wrote, and what they are paid. Postgres is the truth."""
