"""The file of a backup: its format, its numbers and its checksums, and how older formats become this one."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from config.versions import VERSION
from models.backup.section import Record
from models.base import iso, utc_now
from models.errors import Invalid

FORMAT = "1.0"
Data = dict[str, list[Any]]
# From each older format the next one, and what becomes of a file's ``data`` on the way.
MIGRATIONS: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {}

_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")


def pack(data: Mapping[str, list[Record]], secrets: Mapping[str, Any]) -> dict[str, Any]:
    """The whole file; ``secrets`` says how those in ``data`` are kept."""
    return {
        "version": FORMAT,
        "created_at": iso(utc_now()),
        "generator": f"voiceworks {VERSION}",
        "sections": list(data),
        "counts": {name: len(records) for name, records in data.items()},
        "checksums": {name: checksum(records) for name, records in data.items()},
        "secrets": dict(secrets),
        "data": dict(data),
    }


def unpack(file: Mapping[str, Any]) -> Data:
    """The sections of a file, in the format of today.

    Raises:
        Invalid: it is of a format that is not read here, or not as it was made.
    """
    steps = _steps(file["version"])
    data = dict(file["data"])
    for name, said in (file.get("checksums") or {}).items():
        if name not in data or checksum(data[name]) != said:
            raise Invalid(
                f"Section {name!r} is not what it was when the file was made (SHA-256); whoever changed it on purpose "
                "takes `checksums` out of the file.",
                code="backup_corrupt",
            )
    for name, count in (file.get("counts") or {}).items():
        if name not in data or not isinstance(data[name], list) or len(data[name]) != count:
            raise Invalid(f"Section {name!r} does not have {count!r:.20} records, as it should.", code="backup_corrupt")
    for step in steps:
        data = step(data)
    for name, records in data.items():
        if not isinstance(records, list):
            raise Invalid(f"{name}: {type(records).__name__} is not a list of records")
    return data


def checksum(records: Any) -> str:
    """The SHA-256 of records, however they were laid out and whoever wrote their numbers."""
    text = json.dumps(_plain(records), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    # JavaScript writes 1 where Python writes 1.0.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _steps(version: str) -> list[Callable[[dict[str, Any]], dict[str, Any]]]:
    """What leads from a format to that of today.

    Raises:
        Invalid: nothing does.
    """
    given = _number(version)
    if given > _number(FORMAT):
        raise Invalid(
            f"The file has format {version}; this installation reads up to {FORMAT}.", code="backup_version_unsupported"
        )
    steps = []
    while version != FORMAT and _number(version) != _number(FORMAT):
        if version not in MIGRATIONS:
            raise Invalid(
                f"The file has format {version}, which nothing leads from to {FORMAT}.",
                code="backup_version_unsupported",
            )
        version, step = MIGRATIONS[version]
        steps.append(step)
    return steps


def _number(version: str) -> tuple[int, ...]:
    found = _VERSION.fullmatch(version)
    if found is None:
        raise Invalid(f"version: {version!r:.40} is no format, such as {FORMAT!r}")
    return tuple(map(int, found.groups()))
