"""Figures of what happens: counted in memory where it happens, added up in Redis, kept by the hour in Postgres."""
