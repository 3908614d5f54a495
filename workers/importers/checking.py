"""What came, looked at before anything is read out of it: whole, and not made to harm."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import Any

from workers.errors import BadInput
from workers.importers.archive import LoneFile, ZipTree
from workers.importers.draft import Files, Report

_CHUNK_BYTES = 1 << 18
_ZIP_STARTS = (b"PK\3\4", b"PK\5\6", b"PK\7\x08")


def check(path: Path, name: str, media_type: str, report: Report) -> dict[str, Any]:
    """What is known of a file before it is read: size, digest, and of an archive how many files, which of them damaged.

    Raises:
        BadInput: it is empty, or an archive that is broken, encrypted or made to harm.
    """
    size = path.stat().st_size
    if not size:
        raise BadInput(f"{name or 'The file'!r} is empty.", code="empty_file")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    found: dict[str, Any] = {"name": name, "media_type": media_type, "size_bytes": size, "sha256": digest}
    if _zipped(path):
        tree = ZipTree(path)
        found["files"] = len(tree.names())
        tree.close()
        found["damaged"] = _damaged(path, report)
    report(1.0)
    return found


def notes(checked: dict[str, Any]) -> list[str]:
    """What of this whoever imports it should know."""
    damaged = checked.get("damaged", [])
    if not damaged:
        return []
    return [f"Damaged in the archive: {', '.join(damaged[:5])}{' and others' if len(damaged) > 5 else ''}."]


def reopened(path: Path, name: str) -> Files:
    """The files of a course that was read from ``path`` before, to be read again."""
    return ZipTree(path) if _zipped(path) else LoneFile(path, name)


def _zipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4).startswith(_ZIP_STARTS)


def _damaged(path: Path, report: Report) -> list[str]:
    """The files of an archive whose bytes are not those that went into it."""
    found = []
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        total = sum(entry.compress_size for entry in entries) or 1
        done = 0
        for entry in entries:
            try:
                with archive.open(entry) as file:
                    # At the end it compares what was read with what was written.
                    while file.read(_CHUNK_BYTES):
                        report(done / total)
            except (zipfile.BadZipFile, zlib.error, EOFError, ValueError):
                found.append(entry.filename[:200])
            done += entry.compress_size
    return found
