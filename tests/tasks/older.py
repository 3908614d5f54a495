"""A worker of a version that does not know a kind of job yet: ``celery --app=tests.tasks.older``."""

from __future__ import annotations

from tasks import kinds

# Before the application is made, which has a task for each.
UNKNOWN = kinds.KINDS.pop("upkeep.cleanup").name

from tasks.worker import app  # noqa: E402

__all__ = ["UNKNOWN", "app"]
