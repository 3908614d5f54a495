"""Files that are there only when they are whole, whenever somebody looks and whatever is killed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def place(source: Path, target: Path) -> None:
    """Puts a file that nobody changes under another name, too."""
    with drafted(target) as draft:
        try:
            os.link(source, draft)
        except OSError:
            # On another disk, or one without links.
            shutil.copyfile(source, draft)


def write_whole(target: Path, text: str) -> None:
    """Writes a text."""
    with drafted(target) as draft:
        draft.write_text(text, encoding="utf-8")


@contextmanager
def drafted(target: Path) -> Iterator[Path]:
    """Where to write what becomes ``target`` at the end; nothing is left of it if that fails."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        yield draft
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
