"""Who has which task: taking one, keeping it, giving it back. Nobody else is asked; all of it is Postgres.

The promises are kept by the unique indexes of ``Assignment``; the locks here only spare the losers an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, func, select, text, update
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.transcription import agents
from models.transcription.tables import (
    ACCEPTED,
    ACTIVE,
    EXPIRED,
    OPEN,
    PARKED,
    SKIPPED,
    Agent,
    Assignment,
    Task,
)

# Who is away for so long has left; who is at work says so by every request.
LEASE = timedelta(minutes=15)
# However busy they seem: a task of ten minutes' sound takes an hour, and longer ones are better cut.
LONGEST = timedelta(hours=1)
# So long nobody is offered what they skipped.
COOLDOWN = timedelta(minutes=30)
# A lease that was renewed less than this ago is not worth another write.
_RENEWED_AGO = timedelta(seconds=30)


# Takes the first task that the agent may have: one statement, so that it is theirs or nobody's. What was skipped lately
# is looked up once, not for each task: it may all stand at the head of the queue. The task's row is seen as it is by
# now, the slots of others as they were at the beginning: a few more than are taken are looked at, and a slot that
# another got meanwhile is no slot (see ``_claim``). ``known`` says whether it is to be one whose text is known.
_CLAIM = """
    WITH free AS (
        SELECT task.id FROM transcription_tasks task
        WHERE task.source = :source AND task.state = 'open' AND task.taken < task.slots
            AND task.gold_text IS {known}
            AND task.id NOT IN (
                SELECT task_id FROM transcription_assignments
                WHERE agent_id = :agent AND state = 'skipped' AND ended_at > now() - CAST(:cooldown AS interval)
            )
            AND (task.slots = 1 OR NOT EXISTS (
                SELECT FROM transcription_assignments own
                WHERE own.task_id = task.id AND own.agent_id = :agent AND own.state IN ('active', 'accepted')
            ))
        ORDER BY task.queued_at, task.id
        LIMIT 1
        FOR UPDATE OF task SKIP LOCKED
    ), taken AS (
        UPDATE transcription_tasks task SET taken = task.taken + 1 FROM free WHERE task.id = free.id
        RETURNING task.id, task.taken, task.slots
    ), made AS (
        INSERT INTO transcription_assignments (task_id, agent_id, slot, state, lease_until)
        SELECT taken.id, :agent, (
            SELECT min(number) FROM generate_series(1, least(taken.slots, taken.taken + 100)) number
            WHERE NOT EXISTS (
                SELECT FROM transcription_assignments held
                WHERE held.task_id = taken.id AND held.slot = number AND held.state IN ('active', 'accepted')
            )
        ), 'active', now() + CAST(:lease AS interval)
        FROM taken
        ON CONFLICT DO NOTHING
        RETURNING id
    )
    SELECT taken.id AS task_id, made.id FROM taken LEFT JOIN made ON true
"""
_CLAIMS = {gold: text(_CLAIM.format(known="NOT NULL" if gold else "NULL")) for gold in (False, True)}


class NotAssigned(Exception):
    """The task is not in the agent's hands."""


@dataclass(frozen=True)
class Choice:
    """How tasks are given out.

    Attributes:
        source: Whose tasks.
        gold_share: In how many of a hundred times a task is given whose text is known.
        park_after: After how many people's skips a task is put aside.
    """

    source: str
    gold_share: int = 0
    park_after: int = 3


@dataclass(frozen=True)
class Held:
    """A task in an agent's hands. ``renewal_due``: their lease was last renewed more than a moment ago."""

    assignment: Assignment
    task: Task
    renewal_due: bool = False


def request(session: Session, agent_id: int, choice: Choice, *, draw: float = 1.0) -> Held | None:
    """The task that the agent has, else the next one, now theirs; None when there is none for them.

    ``draw`` is from 0 to 1 and decides, with the share of ``choice``, whether a known task comes first.
    """
    agent = agents.present(session, agent_id)
    mine = _of_agent(session, agent_id)
    if mine is not None:
        if _lapsed(mine):
            _expire(session, [mine])
        else:
            _renew(mine)
            session.flush()
            return Held(mine, session.get_one(Task, mine.task_id))
    if agent.paused is not None:
        return None
    wants_gold = draw * 100 < choice.gold_share
    for gold in (True, False) if wants_gold else (False,):
        found = _claim(session, agent_id, choice.source, gold=gold)
        if found is not None:
            return found
    return None


def held(session: Session, task_id: int, agent_id: int) -> Held:
    """What the agent holds; one statement, as it is asked with every piece of sound.

    Raises:
        NotFound: there is no such task.
        NotAssigned: it is not in their hands (any more).
    """
    mine = (Assignment.task_id == Task.id) & (Assignment.agent_id == agent_id) & (Assignment.state == ACTIVE)
    found = session.execute(
        select(Task, Assignment, Assignment.lease_until < func.now() + LEASE - _RENEWED_AGO)
        .outerjoin(Assignment, mine & (Assignment.lease_until > func.now()))
        .where(Task.id == task_id)
    ).one_or_none()
    if found is None:
        raise NotFound("Task not found", task_id=task_id)
    task, assignment, due = found
    if assignment is None:
        raise NotAssigned
    return Held(assignment, task, renewal_due=due)


def renew(session: Session, task_id: int, agent_id: int) -> Held:
    """What the agent holds, theirs for another quarter of an hour, up to an hour in all.

    Raises:
        NotFound: there is no such task.
        NotAssigned: it is not in their hands (any more).
    """
    found = held(session, task_id, agent_id)
    if found.renewal_due:
        # Only the one who holds it renews: nobody waits for this row but who takes the task back.
        session.refresh(found.assignment, with_for_update=True)
        if found.assignment.state != ACTIVE:
            raise NotAssigned
        _renew(found.assignment)
        session.flush()
    return found


def skip(session: Session, task_id: int, agent_id: int, reason: str | None, choice: Choice) -> Task:
    """The task, given back by the agent, who is not offered it for a while; after many it is put aside.

    Raises:
        NotFound: there is no such task.
        NotAssigned: it is not in their hands (any more).
    """
    agents.present(session, agent_id)
    task = lock(session, task_id)
    mine = latest(session, task_id, agent_id)
    if mine is None or mine.state != ACTIVE:
        raise NotAssigned
    mine.state, mine.reason, mine.ended_at = SKIPPED, reason, func.now()
    # Behind all others: who skips a hundred tasks in a row is not kept waiting by them.
    task.taken, task.queued_at = Task.taken - 1, func.clock_timestamp()
    session.flush()
    session.execute(update(Agent).where(Agent.id == agent_id).values(tasks_skipped=Agent.tasks_skipped + 1))
    skipped_by = select(func.count(Assignment.agent_id.distinct())).where(
        Assignment.task_id == task_id, Assignment.state == SKIPPED, Assignment.ended_at >= task.skips_count_from
    )
    if task.state == OPEN and (session.scalar(skipped_by) or 0) >= choice.park_after:
        task.state = PARKED
    session.flush()
    return task


def expire(session: Session, *, limit: int = 500) -> int:
    """How many assignments were taken back whose time ran out."""
    late = select(Assignment.task_id).where(Assignment.state == ACTIVE, Assignment.lease_until < func.now())
    tasks = select(Task.id).where(Task.id.in_(late)).limit(limit).with_for_update(skip_locked=True)
    locked = list(session.scalars(tasks))
    if not locked:
        return 0
    rows = session.scalars(
        select(Assignment)
        .where(Assignment.task_id.in_(locked), Assignment.state == ACTIVE, Assignment.lease_until < func.now())
        .with_for_update(),
        execution_options={"populate_existing": True},
    ).all()
    _expire(session, rows)
    return len(rows)


def lock(session: Session, task_id: int) -> Task:
    """The task, held until the commit.

    Raises:
        NotFound: there is none.
    """
    task = session.scalars(
        select(Task).where(Task.id == task_id).with_for_update(), execution_options={"populate_existing": True}
    ).one_or_none()
    if task is None:
        raise NotFound("Task not found", task_id=task_id)
    return task


def latest(session: Session, task_id: int, agent_id: int) -> Assignment | None:
    """What the agent had to do with the task last, locked; their accepted text before all else."""
    own = (
        select(Assignment)
        .where(Assignment.task_id == task_id, Assignment.agent_id == agent_id)
        .order_by(case((Assignment.state.in_((ACTIVE, ACCEPTED)), 0), else_=1), Assignment.id.desc())
        .limit(1)
        .with_for_update()
    )
    return session.scalars(own, execution_options={"populate_existing": True}).one_or_none()


def _claim(session: Session, agent_id: int, source: str, *, gold: bool) -> Held | None:
    values = {"agent": agent_id, "source": source, "cooldown": COOLDOWN, "lease": LEASE}
    while (taken := session.execute(_CLAIMS[gold], values).one_or_none()) is not None:
        if taken.id is not None:
            return Held(session.get_one(Assignment, taken.id), session.get_one(Task, taken.task_id))
        # Of a task with several slots another one was taken at this very moment, and was not seen yet; now it is.
        session.execute(update(Task).where(Task.id == taken.task_id).values(taken=Task.taken - 1))
    return None


def _of_agent(session: Session, agent_id: int) -> Assignment | None:
    """What the agent has, with its task locked before it, as by all others."""
    own = (Assignment.agent_id == agent_id, Assignment.state == ACTIVE)
    task_id = session.scalar(select(Assignment.task_id).where(*own))
    if task_id is None:
        return None
    lock(session, task_id)
    return session.scalars(
        select(Assignment).where(*own).with_for_update(), execution_options={"populate_existing": True}
    ).one_or_none()


def _lapsed(assignment: Assignment) -> bool:
    session = Session.object_session(assignment)
    assert session is not None
    return assignment.lease_until <= _now(session)


def _now(session: Session) -> datetime:
    now = session.scalar(select(func.now()))
    assert now is not None
    return now


def _renew(assignment: Assignment) -> None:
    assignment.lease_until = func.least(func.now() + LEASE, Assignment.started_at + LONGEST)


def _expire(session: Session, assignments: Sequence[Assignment]) -> None:
    """Ends assignments whose tasks are locked, and gives these to whoever comes next, at the place they had."""
    mine = Assignment.id.in_([each.id for each in assignments])
    session.execute(update(Assignment).where(mine).values(state=EXPIRED, ended_at=func.now()))
    for each in assignments:
        session.execute(update(Task).where(Task.id == each.task_id).values(taken=Task.taken - 1))
