"""A course from an address of the web."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from workers.importers.draft import Report
from workers.importers.source import Fetched, Outside

_FILE = "source"


def fetch(asked: Mapping[str, str], folder: Path, outside: Outside, report: Report) -> Fetched:
    """The file at ``asked["url"]``."""
    got = outside.http.get(asked["url"], folder / _FILE, report)
    notes = ["It has not changed since it was last fetched."] if got.unchanged else []
    return Fetched(_FILE, got.name, got.media_type, got.url, notes)
