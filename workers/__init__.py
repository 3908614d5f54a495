"""How the work is done: speech, wake words, fine-tuning, importers, audio, text and clients of outside services.

Imports numeric, file and HTTP libraries. Never Flask, Celery, SQLAlchemy, Redis or settings: arguments in, values out.
"""
