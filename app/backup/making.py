"""The file of a backup, as it is sent, or kept before an import replaces what is there."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy.orm import Session

from app.backup import files, sealed
from app.context import Context
from app.http.offload import offload
from models.backup import envelope, sealing
from models.backup.sealing import Cipher
from models.backup.section import Record
from models.backup.sections import everything


def export(here: Context, names: Collection[str], passphrase: str | None) -> dict[str, Any]:
    """A file with these sections, its secrets encrypted under the passphrase, or left out."""
    # Before anything is read: no session is held meanwhile.
    cipher = offload(sealing.under, passphrase) if passphrase else None
    with here.database.snapshot() as session:
        found = read(session, here, names)
    return offload(whole, here, found, cipher)


def read(session: Session, here: Context, names: Collection[str]) -> dict[str, list[Record]]:
    """The records of these sections, secrets in clear."""
    sections = everything(here.settings.secret_key)
    return {
        name: [stored.record for stored in section.read(session)] for name, section in sections.items() if name in names
    }


def whole(here: Context, found: dict[str, list[Record]], cipher: Cipher | None) -> dict[str, Any]:
    """The file of records; none of their secrets is in it in clear. It takes a while: keep off the event loop."""
    data: dict[str, list[Record]] = {}
    fields: dict[str, list[str]] = {}
    unreadable: list[str] = []
    sections = everything(here.settings.secret_key)
    for name, records in found.items():
        section = sections[name]
        data[name], lost = sealed.seal_all(section, records, cipher)
        unreadable += lost
        if section.secrets:
            fields[name] = list(section.secrets)
        if name == files.SECTION:
            data[name] = files.put_in(data[name], here.files)
    said = cipher.described() if cipher else {"mode": sealing.OMITTED}
    return envelope.pack(data, {**said, "fields": fields, "unreadable": unreadable})
