"""An import: what would change, and the change itself. Whoever only asks rolls back what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.accounts import Account, ApiKey, Caller
from models.backup.section import Change, Key, Record, Section, Stored
from models.errors import Conflict, Invalid, NotFound

_LOCK = 0x566F6261


@dataclass
class Plan:
    """What becomes of a section."""

    section: Section
    added: list[Record] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    removed: list[Stored] = field(default_factory=list)
    unchanged: int = 0
    warnings: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """The same, without a value of any record."""
        label = self.section.label
        return {
            "added": [label(record) for record in self.added],
            "changed": [{"record": label(each.record), "fields": sorted(each.fields)} for each in self.changed],
            "removed": [label(stored.record) for stored in self.removed],
            "unchanged": self.unchanged,
        }


def hold(session: Session) -> None:
    """Keeps other imports waiting until the transaction ends."""
    session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def write(
    session: Session,
    sections: Mapping[str, Section],
    records: Mapping[str, Sequence[Record]],
    *,
    merge: bool,
    caller: Caller | None,
) -> list[Plan]:
    """Writes the records of a file, which were checked; those of a section that the file does not have stay.

    With ``merge`` nothing goes; without it a section has the file's records and no others. ``caller`` imports, and can
    administer afterwards. The caller of this holds the lock (``hold``).

    Raises:
        Invalid: a record refers to what is nowhere, or cannot be stored.
        Conflict: what is here forbids it.
    """
    stored = {name: section.read(session) for name, section in sections.items() if _matters(section, records)}
    plans = {
        name: plan(sections[name], stored[name], records[name], merge=merge) for name in sections if name in records
    }
    _refuse_loose_ends(sections, stored, records, plans, merge=merge)
    credential = _credential(session, caller)
    for each in reversed(plans.values()):
        if not each.section.grows_first:
            _remove(session, each)
    for each in plans.values():
        if each.section.grows_first:
            _add(session, each)
            _change(session, each)
        else:
            _change(session, each)
            _add(session, each)
    for each in plans.values():
        if each.section.grows_first:
            _remove(session, each)
    session.flush()
    _refuse_losing(session, caller, credential)
    return list(plans.values())


def plan(section: Section, stored: Sequence[Stored], records: Sequence[Record], *, merge: bool) -> Plan:
    """What becomes of a section; nothing is done."""
    known: dict[Key, Stored] = {section.key_of(each.record): each for each in stored}
    found = Plan(section)
    for record in records:
        here = section.find(record, known)
        if here is None:
            if reason := section.unusable(record):
                found.warnings.append(reason)
                continue
            found.added.append(record)
            if lack := section.lacking(record):
                found.warnings.append(lack)
            continue
        # A secret that nobody could open is no field, and any is another.
        fields = {name: value for name, value in record.items() if here.record.get(name, _UNKNOWN) != value}
        if fields:
            found.changed.append(Change(here.row_id, here.record | record, fields))
        else:
            found.unchanged += 1
    if not merge:
        found.removed = list(known.values())
    return found


_UNKNOWN = object()


def _matters(section: Section, records: Mapping[str, Any]) -> bool:
    """Whether what is stored of a section has to be read: it is written, referred to, or refers."""
    if section.name in records:
        return True
    if section.goes_with and any(other in records for other in section.refers.values()):
        return True
    return section.name in ("users", "user_mappings")


def _refuse_loose_ends(
    sections: Mapping[str, Section],
    stored: Mapping[str, Sequence[Stored]],
    records: Mapping[str, Sequence[Record]],
    plans: Mapping[str, Plan],
    *,
    merge: bool,
) -> None:
    def names_after(name: str) -> set[Any]:
        section = sections[name]
        kept = [each.record for each in stored[name]] if merge or name not in records else []
        return {section.key_of(record)[0] for record in (*kept, *records.get(name, ()))}

    there = {name: names_after(name) for section in sections.values() for name in section.refers.values()}
    for name, given in records.items():
        for record in given:
            for field_name, other, wanted in sections[name].referred(record):
                if wanted not in there[other]:
                    raise Invalid(
                        f"{name} {sections[name].label(record)!r}: {field_name}: {wanted!r} is in no record of {other},"
                        " neither here nor in the file"
                    )
    for section in sections.values():
        if not section.goes_with or section.name in records:
            continue
        for each in stored.get(section.name, ()):
            for _, other, wanted in section.referred(each.record):
                if other in plans and wanted not in there[other]:
                    raise Conflict(
                        f"{other} {wanted!r} would be removed, and with it {section.name} "
                        f"{section.label(each.record)!r} changed, which the file says nothing of; "
                        f"import {section.name} too, or merge."
                    )


def _remove(session: Session, plan: Plan) -> None:
    for stored in plan.removed:
        with _Naming(plan.section, stored.record):
            plan.section.remove(session, stored)


def _change(session: Session, plan: Plan) -> None:
    for change in plan.section.prepare(session, plan.changed):
        with _Naming(plan.section, change.record):
            plan.section.change(session, change)


def _add(session: Session, plan: Plan) -> None:
    batches = [plan.added] if plan.section.at_once else [[record] for record in plan.added]
    for batch in batches:
        with _Naming(plan.section, batch[0] if len(batch) == 1 else None):
            plan.section.add_all(session, batch)


class _Naming:
    """Says of a refusal which record it is about."""

    def __init__(self, section: Section, record: Record | None) -> None:
        self._where = section.name if record is None else f"{section.name} {section.label(record)!r}"

    def __enter__(self) -> None:
        """Begins."""

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        """Raises the same, with its place."""
        if isinstance(fault, Invalid | Conflict | NotFound) and not fault.message.startswith(self._where):
            raise type(fault)(f"{self._where}: {fault.message}", code=fault.code, **fault.details) from fault


def _credential(session: Session, caller: Caller | None) -> str | None:
    """What recognises the key that the caller came with."""
    if caller is None or caller.key_id is None:
        return None
    return session.scalar(select(ApiKey.digest).where(ApiKey.id == caller.key_id))


def _refuse_losing(session: Session, caller: Caller | None, credential: str | None) -> None:
    able = select(Account.id).where(Account.role == "admin", ~Account.disabled)
    if session.scalar(able.limit(1)) is None:
        raise Conflict("Nobody would be left who can administer.")
    if caller is None or caller.account_id is None:
        return
    if session.scalar(able.where(Account.id == caller.account_id)) is None:
        raise Conflict(f"User {caller.username} imports, and could not administer any more.")
    in_time = ApiKey.expires_at.is_(None) | (ApiKey.expires_at > func.now())
    same = (ApiKey.digest == credential, ApiKey.account_id == caller.account_id, ApiKey.role == "admin", in_time)
    if caller.key_id is not None and session.scalar(select(ApiKey.id).where(*same)) is None:
        raise Conflict(
            "The API key that this import came with would open nothing any more; sign in with a password, or merge."
        )
