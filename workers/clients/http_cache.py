"""What was fetched before, for servers that can say that it is unchanged (by ETag or by date)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from workers.clients.whole_files import place, write_whole

_NOT_KEPT = frozenset(("no-store", "private"))


@dataclass(frozen=True)
class Known:
    """What is kept of an answer beside its body."""

    url: str
    name: str
    media_type: str
    size_bytes: int
    etag: str | None
    modified: str | None

    def conditions(self) -> dict[str, str]:
        """The headers that ask for it only if it changed."""
        told = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in told.items() if value}


class Cache:
    """A folder of answers by the address that was asked for; None: nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def find(self, url: str) -> Known | None:
        """What is kept of ``url``, if all of it is there."""
        if self._folder is None:
            return None
        about, body = self._paths(self._folder, url)
        try:
            known = Known(**json.loads(about.read_text()))
            return known if body.stat().st_size == known.size_bytes else None
        except (OSError, ValueError, TypeError):
            return None

    def take(self, url: str, into: Path) -> None:
        """Puts the body that was found of ``url`` under another name, too."""
        assert self._folder is not None
        paths = self._paths(self._folder, url)
        place(paths[1], into)
        # As new: what is asked for is the last to go (``tasks.upkeep``).
        for path in paths:
            with suppress(OSError):
                os.utime(path)

    def keep(self, url: str, known: Known, headers: Mapping[str, str], body: Path) -> None:
        """Keeps an answer, unless it cannot be asked for again or is not to be kept."""
        forbidden = _NOT_KEPT & set(headers.get("Cache-Control", "").replace(",", " ").split())
        if self._folder is None or forbidden or not known.conditions():
            return
        about, kept = self._paths(self._folder, url)
        about.parent.mkdir(parents=True, exist_ok=True)
        # What is known of the old body is not true of the new one.
        about.unlink(missing_ok=True)
        place(body, kept)
        write_whole(about, json.dumps(asdict(known)))

    @staticmethod
    def _paths(folder: Path, url: str) -> tuple[Path, Path]:
        name = hashlib.sha256(url.encode()).hexdigest()
        return folder / f"{name}.json", folder / f"{name}.body"
