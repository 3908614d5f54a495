"""What agents earn: a ledger that is only added to. An agent's totals follow from it, in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models.errors import Conflict
from models.transcription import agents
from models.transcription.tables import BONUS, EARNED, PAID_OUT, REVERSED, Agent, Annotation, Entry, Task

# What the ledger's column keeps; answers and statements round once more, to hundredths.
NOTHING = Decimal()
_UNIT = Decimal("0.0001")
_SHOWN = Decimal("0.01")
# As much as a line of the ledger holds.
_MOST_AT_ONCE = Decimal(99999999)


def amount_of(duration_seconds: Decimal, rate_per_second: Decimal) -> Decimal:
    """What sound of that length earns, to a hundredth of a hundredth; half of one counts as one."""
    return (duration_seconds * rate_per_second).quantize(_UNIT, ROUND_HALF_UP)


def shown(amount: Decimal) -> float:
    """An amount as answers and statements show it: to hundredths, half of one counting as one."""
    return float(amount.quantize(_SHOWN, ROUND_HALF_UP))


def earn(session: Session, annotation: Annotation, task: Task, rate_per_second: Decimal) -> Entry:
    """The line for a text that was taken; the agent, who is locked, has as much more."""
    duration = task.duration_seconds or Decimal()
    entry = Entry(
        agent_id=annotation.agent_id,
        annotation_id=annotation.id,
        kind=EARNED,
        duration_seconds=duration,
        rate_per_second=rate_per_second,
        amount=amount_of(duration, rate_per_second),
    )
    session.add(entry)
    _count(session, entry, tasks=1, duration=duration)
    return entry


def reverse(session: Session, annotation: Annotation, why: str) -> None:
    """Takes back what a text earned that came to nothing; once, however often it is called."""
    agents.lock(session, annotation.agent_id)
    lines = {line.kind: line for line in session.scalars(select(Entry).where(Entry.annotation_id == annotation.id))}
    earned = lines.get(EARNED)
    if earned is None or REVERSED in lines:
        return
    duration = earned.duration_seconds or Decimal()
    entry = Entry(
        agent_id=annotation.agent_id,
        annotation_id=annotation.id,
        kind=REVERSED,
        duration_seconds=-duration,
        rate_per_second=earned.rate_per_second,
        amount=-earned.amount,
        note=why,
    )
    session.add(entry)
    _count(session, entry, tasks=-1, duration=-duration)


def add_bonus(session: Session, agent_id: int, amount: Decimal, note: str | None) -> Entry:
    """A line that gives (or with a negative amount takes) what no task earned.

    Raises:
        NotFound: there is no such agent.
    """
    agents.lock(session, agent_id)
    entry = Entry(agent_id=agent_id, kind=BONUS, amount=amount, note=note)
    session.add(entry)
    _count(session, entry, tasks=0, duration=Decimal())
    return entry


def pay_out(session: Session, agent_id: int, amount: Decimal | None, note: str | None) -> Entry:
    """The line that says that an agent was paid: ``amount``, or all that is due.

    Raises:
        NotFound: there is no such agent.
        Conflict: no more than nothing is due, or less than ``amount``.
    """
    # Two who pay at once: the second sees what the first did.
    agents.lock(session, agent_id)
    due = balance(session, agent_id)
    # What is less than a hundredth waits for more.
    paid = min(due, _MOST_AT_ONCE).quantize(_SHOWN, ROUND_FLOOR) if amount is None else amount
    if paid <= 0 or paid > due:
        raise Conflict(f"Agent {agent_id} has {due:.4f} to get; {paid:.4f} cannot be paid out.", balance=str(due))
    entry = Entry(agent_id=agent_id, kind=PAID_OUT, amount=-paid, note=note)
    session.add(entry)
    session.flush()
    return entry


def balance(session: Session, agent_id: int) -> Decimal:
    """What an agent has to get: all lines added up."""
    return session.scalar(select(func.sum(Entry.amount)).where(Entry.agent_id == agent_id)) or Decimal()


@dataclass(frozen=True)
class Statement:
    """What an agent did and got in a period, and what they had to get at its end."""

    agent_id: int
    tasks: int
    duration_seconds: Decimal
    earned: Decimal
    bonus: Decimal
    paid_out: Decimal
    balance: Decimal


def statements(
    session: Session, *, since: datetime | None, until: datetime | None, agent_ids: Sequence[int] = ()
) -> list[Statement]:
    """A statement for each agent with a line before ``until``; of ``agent_ids`` alone where some are named."""
    inside = Entry.created_at >= since if since is not None else Entry.id.is_not(None)

    def total(*kinds: str) -> object:
        return func.coalesce(func.sum(Entry.amount).filter(inside, Entry.kind.in_(kinds)), 0)

    work = (EARNED, REVERSED)
    query = select(
        Entry.agent_id,
        (func.count().filter(inside, Entry.kind == EARNED) - func.count().filter(inside, Entry.kind == REVERSED)).label(
            "tasks"
        ),
        func.coalesce(func.sum(Entry.duration_seconds).filter(inside), 0).label("duration_seconds"),
        total(*work).label("earned"),  # type: ignore[attr-defined]
        total(BONUS).label("bonus"),  # type: ignore[attr-defined]
        (-total(PAID_OUT)).label("paid_out"),  # type: ignore[operator]
        func.sum(Entry.amount).label("balance"),
    )
    if until is not None:
        query = query.where(Entry.created_at < until)
    if agent_ids:
        query = query.where(Entry.agent_id.in_(agent_ids))
    return [
        Statement(**row._mapping) for row in session.execute(query.group_by(Entry.agent_id).order_by(Entry.agent_id))
    ]


def _count(session: Session, entry: Entry, *, tasks: int, duration: Decimal) -> None:
    session.flush()
    session.execute(
        update(Agent)
        .where(Agent.id == entry.agent_id)
        .values(
            tasks_completed=Agent.tasks_completed + tasks,
            duration_seconds=Agent.duration_seconds + duration,
            earnings=Agent.earnings + entry.amount,
        )
    )
