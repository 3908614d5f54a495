"""Secrets of records: sealed or left out on the way out, opened and held against their rules on the way in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from argon2 import extract_parameters
from argon2.exceptions import InvalidHashError

from models.backup.sealing import Cipher
from models.backup.section import Record, Section
from models.errors import Invalid

MAX_CHARACTERS = 4000
# A hash says itself what it costs to check, which whoever signs in makes us spend.
_MOST_MEMORY_KIB, _MOST_TIME, _MOST_PARALLEL = 256 * 1024, 20, 16


def seal_all(section: Section, records: Sequence[Record], cipher: Cipher | None) -> tuple[list[Record], list[str]]:
    """Records for a file, and which of them have a secret that nobody can open any more.

    Without a cipher every secret is null; with one null says that there is none.
    """
    sealed: list[Record] = []
    unreadable: list[str] = []
    for record in records:
        kept = dict(record)
        for field in section.secrets:
            if field not in record:
                unreadable.append(f"{section.name} {section.label(record)}")
            if cipher is None:
                kept[field] = None
            elif record.get(field) is not None:
                kept[field] = {"sealed": cipher.seal(record[field], _purpose(section, record, field))}
        sealed.append(kept)
    return sealed, unreadable


def take_secrets(
    section: Section, record: Record, raw: Mapping[str, Any], cipher: Cipher | None, where: str
) -> dict[str, Any]:
    """The secrets of a record in clear; one that the file does not have is not there, and stays as it is.

    No error quotes any of them.

    Raises:
        Invalid: one cannot be opened, or is none.
    """
    found: dict[str, Any] = {}
    for field in section.secrets:
        value = raw.get(field)
        if value is None:
            # Of a file with sealed secrets null says that there is none; others do not know.
            if cipher is not None and field in raw and field != "digest":
                found[field] = None
            continue
        if isinstance(value, dict) and set(value) == {"sealed"} and isinstance(value["sealed"], str):
            if cipher is None:
                raise Invalid(
                    f"{where}: {field}: it is sealed, and nothing says how; send `secrets` of the file, too",
                    code="backup_corrupt",
                )
            value = cipher.open(value["sealed"], _purpose(section, record, field))
        if not isinstance(value, str) or not 0 < len(value) <= MAX_CHARACTERS or not _FITS[field](value):
            raise Invalid(f"{where}: {field}: it is not what such a secret looks like")
        found[field] = value
    return found


def _purpose(section: Section, record: Record, field: str) -> str:
    return f"{section.name} {json.dumps(section.key_of(record))} {field}"


def _is_password_hash(text: str) -> bool:
    try:
        said = extract_parameters(text)
    except InvalidHashError:
        return False
    return said.memory_cost <= _MOST_MEMORY_KIB and said.time_cost <= _MOST_TIME and said.parallelism <= _MOST_PARALLEL


_FITS: Mapping[str, Callable[[str], bool]] = {
    "api_key": lambda text: True,
    "password_hash": _is_password_hash,
    "digest": lambda text: re.fullmatch(r"[0-9a-f]{64}", text) is not None,
}
