"""An import: everything is checked first, then all of it is written in one transaction, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.api.services import check_config
from app.backup import files, making, records
from app.context import Context
from app.http.offload import offload
from models.accounts import Caller
from models.backup import envelope, importing, sealing
from models.backup.importing import Plan
from models.backup.section import Record
from models.backup.sections import BY_DEFAULT, everything
from models.backup.snapshots import Snapshots
from models.base import utc_now
from models.errors import Invalid
from models.gateway import services
from workers.clients.networks import Networks
from workers.errors import BadInput

SNAPSHOTS = "backups"


@dataclass(frozen=True)
class Wanted:
    """What is to be imported, and how."""

    file: Mapping[str, Any]
    passphrase: str | None
    merge: bool
    rehearse: bool


@dataclass(frozen=True)
class Outcome:
    """What was done, or would be; the name of what was there before, where something was replaced."""

    version: str
    plans: Sequence[Plan]
    snapshot: str | None


class _Rehearsed(Exception):
    """Everything was done as it would be, and is undone."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def snapshots(here: Context) -> Snapshots:
    """Those of this installation."""
    return Snapshots(here.settings.var_dir / SNAPSHOTS)


def restore(here: Context, wanted: Wanted, caller: Caller | None) -> Outcome:
    """Imports a file.

    Raises:
        Invalid: something in it cannot be taken. Nothing was written.
        Conflict: what is here forbids it. Nothing was written.
    """
    checked, contents = offload(_checked, here, wanted)
    if not wanted.rehearse:
        # Files before rows; what no row points to in the end goes with a sweep.
        for content in contents.values():
            offload(here.files.put, content)

    def write(session: Session) -> Outcome:
        return _write(session, here, wanted, checked, caller)

    try:
        # What lost to another transaction is done again: nothing of it was stored.
        outcome = here.database.persist(write)
    except _Rehearsed as rehearsed:
        return rehearsed.outcome
    offload(snapshots(here).forget_old)
    return outcome


def _checked(here: Context, wanted: Wanted) -> tuple[dict[str, list[Record]], dict[str, bytes]]:
    data: dict[str, list[Any]] = envelope.unpack(wanted.file)
    secret_key = here.settings.secret_key
    cipher = sealing.of_file(wanted.file.get("secrets"), passphrase=wanted.passphrase, secret_key=secret_key)
    contents: dict[str, bytes] = {}
    if files.SECTION in data:
        data[files.SECTION], contents = files.take_out(data[files.SECTION])
    found = records.checked(everything(secret_key), data, cipher)
    networks = Networks(here.settings.service_networks)
    for number, service in enumerate(found.get("services", ())):
        try:
            # A name is looked up, which may take a resolver its time.
            networks.check(service["url"])
        except BadInput as fault:
            raise Invalid(f"services[{number}] {service['name']!r}: {fault.message}", code=fault.code) from None
    return found, contents


def _write(
    session: Session, here: Context, wanted: Wanted, found: Mapping[str, list[Record]], caller: Caller | None
) -> Outcome:
    importing.hold(session)
    kept = None
    if not wanted.merge and not wanted.rehearse:
        kept = _snapshot(session, here, {*BY_DEFAULT, *found})
    try:
        sections = everything(here.settings.secret_key, caller.sign_in_id if caller else None)
        plans = importing.write(session, sections, found, merge=wanted.merge, caller=caller)
        _check_services(session, found.get("services", ()))
    except BaseException:
        if kept:
            snapshots(here).drop(kept)
        raise
    outcome = Outcome(wanted.file["version"], plans, kept)
    if wanted.rehearse:
        raise _Rehearsed(outcome)
    return outcome


def _snapshot(session: Session, here: Context, names: set[str]) -> str:
    def keep(found: dict[str, list[Record]]) -> str:
        cipher = sealing.ByInstallation(here.settings.secret_key)
        return snapshots(here).keep(making.whole(here, found, cipher), utc_now())

    return offload(keep, making.read(session, here, names))


def _check_services(session: Session, imported: Sequence[Record]) -> None:
    """Refuses configurations that their types cannot read, and tools that two services declare."""
    names = {record["name"] for record in imported}
    for service in services.everything(session) if names else ():
        if service.name in names:
            try:
                check_config(session, service.type, service.config, but=service.id)
            except Invalid as fault:
                raise Invalid(f"services {service.name!r}: {fault.message}", code=fault.code) from None
