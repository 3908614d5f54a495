"""The images that the topics of a course show, taken out of the files it came in."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from workers.errors import BadInput
from workers.importers.draft import Files, Report
from workers.importers.outline import Topic
from workers.importers.reading import Notes

MAX_IMAGE_BYTES, MAX_COURSE_BYTES, MAX_IMAGES = 10 << 20, 200 << 20, 2_000
# Four bytes a character at most; an index of Postgres takes 2,704 in all.
_MAX_PATH = 500
# What no address leads to, or Postgres cannot keep.
_UNSAYABLE = re.compile("[\0-\x1f\x7f\ud800-\udfff]")
_STARTS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
_AVIF = (b"avif", b"avis")
_SVG = "{http://www.w3.org/2000/svg}svg"


def keep(topics: Iterable[Topic], files: Files, folder: Path, report: Report) -> tuple[list[dict[str, Any]], list[str]]:
    """Each image that is kept (``path``, ``file_name``, ``media_type``, ``size_bytes``), and notes on the others.

    Its bytes then lie in ``folder`` under ``file_name``, their SHA-256; those that lie there already stay.
    """
    names = frozenset(files.names())
    shown = [asset.target for topic in topics for asset in topic.assets if asset.kind == "image"]
    wanted = [path for path in dict.fromkeys(shown) if path in names]
    kept: list[dict[str, Any]] = []
    notes = Notes()
    total_bytes = 0
    folder.mkdir(exist_ok=True)
    for number, path in enumerate(wanted):
        report(number / len(wanted))
        reason = _beyond(path, files.size(path), total_bytes, len(kept))
        if reason is None:
            try:
                data = files.read(path, most=MAX_IMAGE_BYTES)
            except BadInput:
                reason = "Images that are damaged, left out"
            else:
                kind = media_type(data)
                if kind is not None:
                    total_bytes += len(data)
                    about = {"path": path, "file_name": _written(data, folder)}
                    kept.append(about | {"media_type": kind, "size_bytes": len(data)})
                    continue
                reason = "Images that are no PNG, JPEG, GIF, WebP, AVIF or SVG without entities, left out"
        notes.count(reason, path)
    report(1.0)
    return kept, notes.sentences()


def media_type(data: bytes) -> str | None:
    """What kind of image it is, of those that every browser shows; by its first bytes, and SVG by parsing it."""
    for start, kind in _STARTS.items():
        if data.startswith(start):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        brands = data[8 : min(int.from_bytes(data[:4], "big"), 200)]
        return "image/avif" if any(brands[at : at + 4] in _AVIF for at in range(0, len(brands), 4)) else None
    return "image/svg+xml" if _is_svg(data) else None


def _beyond(path: str, size_bytes: int, total_bytes: int, count: int) -> str | None:
    """Which limit the next image would be beyond."""
    if len(path) > _MAX_PATH or _UNSAYABLE.search(path):
        return "Images whose paths no address can hold, left out"
    if size_bytes > MAX_IMAGE_BYTES:
        return f"Images of more than {MAX_IMAGE_BYTES >> 20} MiB, left out"
    if count >= MAX_IMAGES:
        return f"Images beyond the {MAX_IMAGES} that are kept of a course, left out"
    if total_bytes + size_bytes > MAX_COURSE_BYTES:
        return f"Images beyond the {MAX_COURSE_BYTES >> 20} MiB that are kept of a course, left out"
    return None


class _Root:
    """The name of the first element; no tree is built, however large the drawing."""

    name = ""

    def start(self, name: str, _: dict[str, str]) -> None:
        self.name = self.name or name


def _is_svg(data: bytes) -> bool:
    root = _Root()
    parser = DefusedXMLParser(target=root, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    try:
        parser.feed(data)
        parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return False
    return root.name == _SVG


def _written(data: bytes, folder: Path) -> str:
    """The name under which it lies in the folder: there only when it is whole."""
    name = hashlib.sha256(data).hexdigest()
    target = folder / name
    if not target.exists():
        draft = folder / f".{name}.{os.getpid()}.{time.monotonic_ns()}"
        try:
            draft.write_bytes(data)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    return name
