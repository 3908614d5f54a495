"""Who is at the same task at the same moment: real transactions of Postgres, started together, many times over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from sqlalchemy import func, select

from config.settings import Settings
from models.db import Database
from models.transcription import assigning, submitting
from models.transcription.assigning import NotAssigned
from models.transcription.submitting import Late
from models.transcription.tables import Agent, Annotation, Assignment, Entry, Task
from tests import making
from tests.transcribing import HERE, add, age, task_of

RATE = Decimal("0.05")
ANN, BOB = 1, 2
ROUNDS = 15


@pytest.fixture
def wide(configured: Settings, database: Database) -> Iterator[Database]:
    """A database that many threads use at once, as several web processes do."""
    wide = Database(configured.database_url, lambda signals: None, pool_size=10)
    yield wide
    wide.dispose()


def submit(database: Database, task_id: int, agent_id: int, text: str = "a text") -> Annotation | Late | None:
    """What became of the text; None where the agent never had the task."""
    try:
        with database.transaction() as session:
            return submitting.submit(session, task_id, agent_id, text, rate_per_second=RATE)
    except NotAssigned:
        return None


def skip(database: Database, task_id: int, agent_id: int) -> bool:
    try:
        with database.transaction() as session:
            assigning.skip(session, task_id, agent_id, None, HERE)
    except NotAssigned:
        return False
    return True


def count(database: Database, *where: object) -> int:
    with database.transaction() as session:
        return session.scalar(select(func.count()).where(*where)) or 0  # type: ignore[arg-type]


def either(*acts: Callable[[], object]) -> list[object]:
    """What each gives, all of them started together."""
    return making.at_once(len(acts), lambda number: acts[number]())


def test_two_agents_at_one_task_one_gets_it(wide: Database) -> None:
    for _ in range(ROUNDS):
        (only,) = add(wide)
        given = making.at_once(8, lambda number: task_of(wide, 10 + number))
        assert sorted(given, key=str) == sorted([only, *[None] * 7], key=str)
        holder = 10 + given.index(only)
        assert isinstance(submit(wide, only, holder), Annotation)


def test_one_agent_who_asks_twice_at_once_gets_one_task(wide: Database) -> None:
    for agent in range(100, 100 + ROUNDS):
        add(wide, count=4)
        given = making.at_once(4, lambda _, agent=agent: task_of(wide, agent))  # type: ignore[misc]
        assert len(set(given)) == 1
        assert count(wide, Assignment.agent_id == agent) == 1


def test_agents_who_all_ask_at_once_all_get_one_of_their_own(wide: Database) -> None:
    several = add(wide, count=20)
    given = making.at_once(20, lambda number: task_of(wide, 10 + number))
    assert sorted(given) == several  # type: ignore[type-var]


def test_a_text_that_is_sent_twice_at_once_is_one_annotation_and_one_payment(wide: Database) -> None:
    for round_number in range(ROUNDS):
        (only,) = add(wide, seconds=10)
        task_of(wide, ANN)
        results = making.at_once(4, lambda number: submit(wide, only, ANN, f"text {number}"))  # noqa: B023
        assert len({result.id for result in results}) == 1  # type: ignore[union-attr]
        assert count(wide, Annotation.task_id == only) == 1
        assert count(wide, Entry.agent_id == ANN) == round_number + 1
    with wide.transaction() as session:
        assert session.get_one(Agent, ANN).earnings == ROUNDS * Decimal("0.5")


def test_a_text_as_the_time_runs_out_is_taken_or_another_has_the_task_never_both(wide: Database) -> None:
    for _ in range(ROUNDS):
        (only,) = add(wide)
        task_of(wide, ANN)
        age(wide, ANN, minutes=16)

        def taken_away() -> int | None:
            with wide.transaction() as session:
                assigning.expire(session)
            return task_of(wide, BOB)

        mine, theirs = either(lambda: submit(wide, only, ANN), taken_away)  # noqa: B023
        if isinstance(mine, Annotation):
            assert theirs is None
        else:
            assert isinstance(mine, Late)
            assert theirs == only
            assert isinstance(submit(wide, only, BOB), Annotation)
        assert count(wide, Annotation.task_id == only) == 1


def test_a_late_text_against_the_next_ones_text_one_is_taken(wide: Database) -> None:
    for _ in range(ROUNDS):
        (only,) = add(wide)
        task_of(wide, ANN)
        age(wide, ANN, hours=2)
        with wide.transaction() as session:
            assigning.expire(session)
        assert task_of(wide, BOB) == only
        late, good = either(lambda: submit(wide, only, ANN), lambda: submit(wide, only, BOB))  # noqa: B023
        assert isinstance(late, Late)
        assert isinstance(good, Annotation)


def test_a_late_text_against_the_next_who_asks_one_has_the_task(wide: Database) -> None:
    for _ in range(ROUNDS):
        (only,) = add(wide)
        task_of(wide, ANN)
        age(wide, ANN, hours=2)
        with wide.transaction() as session:
            assigning.expire(session)
        late, given = either(lambda: submit(wide, only, ANN), lambda: task_of(wide, BOB))  # noqa: B023
        assert isinstance(late, Annotation) != (given == only)
        if given == only:
            submit(wide, only, BOB)


def test_a_skip_against_a_text_one_of_them_counts(wide: Database) -> None:
    for _ in range(ROUNDS):
        (only,) = add(wide)
        task_of(wide, ANN)
        text, skipped = either(lambda: submit(wide, only, ANN), lambda: skip(wide, only, ANN))  # noqa: B023
        assert isinstance(text, Annotation) != skipped
        with wide.transaction() as session:
            assert session.get_one(Task, only).taken == int(not skipped)
            session.get_one(Task, only).state = "done"


def test_a_heartbeat_against_the_one_who_takes_back_what_ran_out(wide: Database) -> None:
    for _ in range(ROUNDS):
        (only,) = add(wide)
        task_of(wide, ANN)
        age(wide, ANN, minutes=14, seconds=59.9)

        def renewed() -> bool:
            try:
                with wide.transaction() as session:
                    assigning.renew(session, only, ANN)  # noqa: B023
            except NotAssigned:
                return False
            return True

        def taken_back() -> int:
            with wide.transaction() as session:
                return assigning.expire(session)

        kept, returned = either(renewed, taken_back)
        assert not (kept and returned)
        with wide.transaction() as session:
            assert session.get_one(Task, only).taken == 1 - int(bool(returned))
            session.get_one(Task, only).state = "done"
        age(wide, ANN, hours=2)


def test_many_agents_in_a_muddle_leave_nothing_crooked(wide: Database) -> None:
    add(wide, count=60, seconds=1.0, double_percent=30)

    def work(agent: int) -> None:
        for step in range(25):
            task_id = task_of(wide, agent)
            if task_id is None:
                continue
            if (agent + step) % 4 == 0:
                skip(wide, task_id, agent)
            elif (agent + step) % 7 == 0:
                age(wide, agent, minutes=16)
                with wide.transaction() as session:
                    assigning.expire(session)
            else:
                submit(wide, task_id, agent)

    making.at_once(12, lambda number: work(number + 1))
    with wide.transaction() as session:
        accepted = session.scalar(select(func.count()).where(Assignment.state == "accepted")) or 0
        assert accepted == session.scalar(select(func.count()).select_from(Annotation))
        assert session.scalar(select(func.sum(Entry.amount))) == accepted * Decimal("0.05")
        assert session.scalar(select(func.sum(Agent.earnings))) == accepted * Decimal("0.05")
        for task in session.scalars(select(Task)):
            held = Assignment.state.in_(("active", "accepted"))
            slots = session.scalars(select(Assignment.slot).where(Assignment.task_id == task.id, held)).all()
            assert len(slots) == len(set(slots)) == task.taken <= task.slots
