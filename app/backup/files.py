"""The files of detectors in a backup: their bytes in base64 there, the name under which they are stored here."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any

from models.backup.section import Record
from models.errors import Conflict, Invalid
from models.files import FileStore

SECTION = "wake_models"


def put_in(records: Sequence[Record], store: FileStore) -> list[Record]:
    """Records with the bytes of their files. It reads them: keep off the event loop.

    Raises:
        Conflict: one of the files is gone.
    """
    return [record | {"files": {role: _read(record, role, store) for role in record["files"]}} for record in records]


def _read(record: Record, role: str, store: FileStore) -> dict[str, str]:
    try:
        content = store.path(record["files"][role]["file"]).read_bytes()
    except FileNotFoundError:
        where = f"{record['wake_word']}@{record['version']}"
        raise Conflict(f"The file {role!r} of wake-word model {where!r} is gone.") from None
    return {"content": base64.b64encode(content).decode()}


def take_out(records: Sequence[Any]) -> tuple[list[Any], dict[str, bytes]]:
    """Records with the names that their files will have, and the files by these names.

    Raises:
        Invalid: one is no base64.
    """
    contents: dict[str, bytes] = {}
    taken: list[Any] = []
    for number, record in enumerate(records):
        files = record.get("files") if isinstance(record, dict) else None
        if not isinstance(files, dict):
            # The check of records says what is wrong with it.
            taken.append(record)
            continue
        named = {role: _decoded(each, f"{SECTION}[{number}]: files.{role}") for role, each in files.items()}
        contents |= {hashlib.sha256(content).hexdigest(): content for content in named.values()}
        rows = {
            role: {"file": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
            for role, content in named.items()
        }
        taken.append(record | {"files": rows})
    return taken, contents


def _decoded(said: Any, where: str) -> bytes:
    content = said.get("content") if isinstance(said, dict) else None
    try:
        return base64.b64decode(content if isinstance(content, str) else "?", validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(f"{where}: content: it is not base64") from None
