"""A course that was sent as a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from workers.clients.whole_files import place
from workers.errors import BadInput
from workers.importers.draft import Report
from workers.importers.source import Fetched, Outside

_FILE = "source"


def fetch(asked: Mapping[str, str], folder: Path, outside: Outside, report: Report) -> Fetched:
    """The file that was put under ``asked["upload"]``; ``name`` and ``media_type`` are as its sender said."""
    try:
        place(outside.uploads / asked["upload"], folder / _FILE)
    except FileNotFoundError:
        message = f"The file {asked['name']!r} is no longer here; send it again with a new import."
        raise BadInput(message, code="upload_gone") from None
    report(1.0)
    return Fetched(_FILE, asked["name"], asked["media_type"])
