"""Groups, and the one decision who may call which tool."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from models import unique
from models.errors import Invalid, NotFound
from models.gateway import people
from models.gateway.tables import Group, GroupMember, UserMapping


@dataclass(frozen=True)
class Rule:
    """A group's word on some tools: ``pattern`` is a tool's name in which ``*`` stands for anything."""

    group: str
    pattern: str

    def covers(self, tool: str) -> bool:
        """Whether it is about this tool."""
        # Letters as they are: nothing but the star means anything.
        first, *others = self.pattern.split("*")
        if not others:
            return tool == first
        *middle, last = others
        if not tool.startswith(first) or not tool.endswith(last) or len(tool) < len(first) + len(last):
            return False
        # Each as early as may be; a regular expression would try every way there is.
        at, end = len(first), len(tool) - len(last)
        for part in middle:
            at = tool.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True


@dataclass(frozen=True)
class Decision:
    """Whether somebody may call a tool, and why; by which group's pattern, where it was one."""

    allowed: bool
    reason: str
    group: str | None = None
    pattern: str | None = None


@dataclass(frozen=True)
class Rights:
    """What decides over one caller's calls. ``name`` is None of somebody unknown; ``names`` are theirs elsewhere."""

    name: str | None
    is_admin: bool
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    any_rule_exists: bool = True
    names: Mapping[str, Any] = field(default_factory=dict)
    # Whether there is an account or a key behind the call.
    signed_in: bool = True

    def decide(self, tool: str) -> Decision:
        """Whether they may call this tool. Every door asks here."""
        if self.is_admin:
            return Decision(True, "Administrators may call every tool.")
        if self.name is None:
            return Decision(False, "Nobody knows this account: no user mapping has its name or its address.")
        if not self.any_rule_exists:
            return Decision(True, "No group has a rule yet, so everybody known may call every tool.")
        for rule in (Rule(name, pattern) for name, patterns in self.groups.items() for pattern in patterns):
            if rule.covers(tool):
                return Decision(
                    True, f"{self.name} is in {rule.group}, which may call {rule.pattern}.", rule.group, rule.pattern
                )
        if not self.groups:
            return Decision(False, f"{self.name} is in no group, and groups say who may call {tool}.")
        said = "; ".join(
            f"{name} may call {', '.join(patterns) or 'nothing'}" for name, patterns in self.groups.items()
        )
        return Decision(False, f"No group of {self.name} may call {tool}: {said}."[:500])


def rights(session: Session, mapping: UserMapping | None, *, is_admin: bool, signed_in: bool = True) -> Rights:
    """What decides over the calls of somebody."""
    if mapping is None:
        return Rights(None, is_admin, signed_in=signed_in)
    if is_admin:
        return Rights(mapping.canonical_name, is_admin, names=mapping.service_mappings)
    theirs = select(Group.name, Group.tool_permissions).join(GroupMember).where(GroupMember.mapping_id == mapping.id)
    found = {row.name: row.tool_permissions for row in session.execute(theirs.order_by(Group.name))}
    any_rule = any(found.values()) or _any_rule(session)
    return Rights(mapping.canonical_name, False, found, any_rule, mapping.service_mappings)


def _any_rule(session: Session) -> bool:
    return (
        session.scalar(select(Group.id).where(func.jsonb_array_length(Group.tool_permissions) > 0).limit(1)) is not None
    )


@dataclass(frozen=True)
class Shown:
    """A group, and the names of those in it."""

    group: Group
    members: list[str]


def everything(session: Session) -> list[Shown]:
    """All groups by name."""
    return _with_members(session, list(session.scalars(select(Group).order_by(Group.name))))


def get(session: Session, group_id: int) -> Shown:
    """The group.

    Raises:
        NotFound: there is none.
    """
    group = session.get(Group, group_id)
    if group is None:
        raise NotFound(f"There is no group {group_id}.", code="group_not_found", group_id=group_id)
    return _with_members(session, [group])[0]


def create(session: Session, fields: Mapping[str, Any], members: Collection[str] = ()) -> Shown:
    """A new group.

    Raises:
        Conflict: there is one of this name.
        Invalid: nobody has one of these names.
    """
    group = Group(**fields)
    session.add(group)
    unique.flush(session, f"There is a group {fields['name']!r} already.")
    if members:
        return set_members(session, group.id, members)
    return get(session, group.id)


def change(session: Session, group_id: int, fields: Mapping[str, Any]) -> Shown:
    """The group with these ``fields``.

    Raises:
        NotFound: there is none.
        Conflict: there is another of this name.
    """
    group = get(session, group_id).group
    for name, value in fields.items():
        setattr(group, name, value)
    unique.flush(session, f"There is a group {fields.get('name')!r} already.")
    return get(session, group_id)


def set_members(session: Session, group_id: int, names: Collection[str]) -> Shown:
    """The group with exactly these people.

    Raises:
        NotFound: there is no such group.
        Invalid: nobody has one of these names.
    """
    get(session, group_id)
    # One after the other: of two lists at once one holds, not both.
    session.execute(select(Group.id).where(Group.id == group_id).with_for_update())
    numbers = people.named(session, names)
    if unknown := [name for name in names if name not in numbers]:
        raise Invalid(f"members: nobody is called {', '.join(map(repr, unknown))}.", members=unknown)
    session.execute(delete(GroupMember).where(GroupMember.group_id == group_id))
    if numbers:
        rows = [{"group_id": group_id, "mapping_id": number} for number in numbers.values()]
        session.execute(insert(GroupMember), rows)
    return get(session, group_id)


def remove(session: Session, group_id: int) -> None:
    """Removes the group; its people stay.

    Raises:
        NotFound: there is none.
    """
    get(session, group_id)
    session.execute(delete(Group).where(Group.id == group_id))


def _with_members(session: Session, groups: Sequence[Group]) -> list[Shown]:
    rows = session.execute(
        select(GroupMember.group_id, func.array_agg(UserMapping.canonical_name))
        .join(UserMapping, UserMapping.id == GroupMember.mapping_id)
        .where(GroupMember.group_id.in_([group.id for group in groups]))
        .group_by(GroupMember.group_id)
    )
    members = {group_id: sorted(names) for group_id, names in rows}
    return [Shown(group, members.get(group.id, [])) for group in groups]
