"""Tasks for transcribers: who gets which, what is kept, what comes back, what is paid."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from sqlalchemy import func, select, update

from models.db import Database
from models.errors import Conflict, NotFound
from models.transcription import agents, assigning, delivering, ledger, submitting, tasks
from models.transcription.assigning import Choice, NotAssigned
from models.transcription.submitting import Late
from models.transcription.tables import Agent, Annotation, Assignment, Entry, Task
from tests import transcribing
from tests.transcribing import HERE, add, age, task_of

RATE = Decimal("0.05")
ANN, BOB, CY, DI = 1, 2, 3, 4


def submit(database: Database, task_id: int, agent_id: int, text: str = "a text") -> Annotation | Late:
    with database.transaction() as session:
        return submitting.submit(session, task_id, agent_id, text, rate_per_second=RATE)


def skip(database: Database, task_id: int, agent_id: int, choice: Choice = HERE) -> str:
    with database.transaction() as session:
        return assigning.skip(session, task_id, agent_id, "noise", choice).state


def expire(database: Database) -> int:
    with database.transaction() as session:
        return assigning.expire(session)


def task(database: Database, task_id: int) -> Task:
    with database.transaction() as session:
        return session.get_one(Task, task_id)


def states(database: Database, task_id: int) -> list[tuple[int, str]]:
    with database.transaction() as session:
        return [(each.agent_id, each.state) for each, _ in tasks.history(session, task_id)]


@pytest.fixture(autouse=True)
def it_all_adds_up(database: Database) -> Iterator[None]:
    """After every test: totals follow from the ledger, and slots from the assignments."""
    yield
    with database.transaction() as session:
        for agent in session.scalars(select(Agent)):
            own = Entry.agent_id == agent.id
            total, seconds = session.execute(
                select(
                    func.coalesce(func.sum(Entry.amount), 0), func.coalesce(func.sum(Entry.duration_seconds), 0)
                ).where(own, Entry.kind != "paid_out")
            ).one()
            assert (agent.earnings, agent.duration_seconds) == (total, seconds)
        for each in session.scalars(select(Task)):
            held = Assignment.state.in_(("active", "accepted"))
            taken = session.scalar(select(func.count()).where(Assignment.task_id == each.id, held))
            assert each.taken == taken, each.id


def test_tasks_are_given_in_order_each_to_one(database: Database) -> None:
    first, second = add(database, count=2)
    assert (task_of(database, ANN), task_of(database, BOB), task_of(database, CY)) == (first, second, None)


def test_who_asks_again_gets_the_same_and_more_time(database: Database) -> None:
    (only,) = add(database)
    before = transcribing.given(database, ANN)
    age(database, ANN, minutes=10)
    again = transcribing.given(database, ANN)
    assert before
    assert again
    assert (again.task.id, again.assignment.id) == (only, before.assignment.id)
    left = again.assignment.lease_until - again.assignment.started_at
    assert abs(left.total_seconds() - 25 * 60) < 5


def test_a_lease_is_renewed_up_to_an_hour_and_no_longer(database: Database) -> None:
    (only,) = add(database)
    task_of(database, ANN)
    for _ in range(5):
        age(database, ANN, minutes=11)
        with database.transaction() as session:
            held = assigning.renew(session, only, ANN)
            assert held.assignment.lease_until - held.assignment.started_at <= assigning.LONGEST
    age(database, ANN, minutes=11)
    with pytest.raises(NotAssigned), database.transaction() as session:
        assigning.renew(session, only, ANN)


def test_what_ran_out_is_given_to_the_next_at_the_place_it_had(database: Database) -> None:
    first, second = add(database, count=2)
    assert task_of(database, ANN) == first
    age(database, ANN, minutes=16)
    assert expire(database) == 1
    assert states(database, first) == [(ANN, "expired")]
    assert task_of(database, BOB) == first
    assert task_of(database, ANN) == second


def test_who_was_away_for_too_long_begins_anew_before_anybody_has_looked(database: Database) -> None:
    (only,) = add(database)
    task_of(database, ANN)
    age(database, ANN, minutes=16)
    assert task_of(database, ANN) == only
    assert states(database, only) == [(ANN, "expired"), (ANN, "active")]


def test_what_was_skipped_is_not_offered_for_half_an_hour_to_the_second(database: Database) -> None:
    (only,) = add(database)
    task_of(database, ANN)
    assert skip(database, only, ANN) == "open"
    assert task_of(database, ANN) is None
    age(database, ANN, minutes=29, seconds=57)
    assert task_of(database, ANN) is None
    age(database, ANN, seconds=4)
    assert task_of(database, ANN) == only


def test_who_skips_a_hundred_in_a_row_still_gets_the_next(database: Database) -> None:
    several = add(database, count=101)
    for expected in several[:100]:
        assert task_of(database, ANN) == expected
        skip(database, expected, ANN)
    assert task_of(database, ANN) == several[100]
    # And who did not skip them has them all yet, those that nobody skipped first.
    assert task_of(database, BOB) == several[0]


def test_after_many_skips_a_task_is_put_aside_until_a_manager_wants_it(database: Database) -> None:
    (only,) = add(database)
    for agent in (ANN, BOB):
        assert task_of(database, agent) == only
        assert skip(database, only, agent) == "open"
    # The same agent does not count twice.
    age(database, ANN, minutes=31)
    assert task_of(database, ANN) == only
    assert skip(database, only, ANN) == "open"
    assert task_of(database, CY) == only
    assert skip(database, only, CY) == "parked"
    assert task_of(database, DI) is None
    with database.transaction() as session:
        found, total = tasks.page(session, state="parked", limit=10, offset=0)
        assert ([each.id for each in found], total) == ([only], 1)
        assert tasks.unpark(session, only).state == "open"
    assert task_of(database, DI) == only
    assert skip(database, only, DI) == "open"
    with pytest.raises(Conflict, match="is open, not parked"), database.transaction() as session:
        tasks.unpark(session, only)


def test_only_what_is_in_hand_can_be_skipped(database: Database) -> None:
    (only,) = add(database)
    with pytest.raises(NotAssigned):
        skip(database, only, ANN)
    with pytest.raises(NotFound, match="Task not found"):
        skip(database, 424242, ANN)
    task_of(database, ANN)
    submit(database, only, ANN)
    with pytest.raises(NotAssigned):
        skip(database, only, ANN)


def test_a_text_is_taken_once_and_paid_by_the_length_of_the_sound(database: Database) -> None:
    (only,) = add(database, seconds=12.345)
    task_of(database, ANN)
    taken = submit(database, only, ANN, "first")
    again = submit(database, only, ANN, "second")
    assert isinstance(taken, Annotation)
    assert isinstance(again, Annotation)
    assert (again.id, again.text, again.state) == (taken.id, "first", "kept")
    assert task(database, only).state == "done"
    with database.transaction() as session:
        (line,) = session.scalars(select(Entry))
        assert (line.kind, line.duration_seconds, line.rate_per_second) == ("earned", Decimal("12.35"), RATE)
        assert line.amount == Decimal("0.6175")
        agent = agents.get(session, ANN)
        assert (agent.tasks_completed, agent.duration_seconds) == (1, Decimal("12.35"))


def test_money_is_counted_exactly_and_rounded_only_when_it_is_shown(database: Database) -> None:
    for each in add(database, count=3, seconds=0.1):
        task_of(database, ANN)
        submit(database, each, ANN)
    with database.transaction() as session:
        # 3 × 0.005: each alone would be shown as 0.01.
        assert ledger.balance(session, ANN) == Decimal("0.0150")
        assert ledger.shown(ledger.balance(session, ANN)) == 0.02
    assert ledger.shown(Decimal("62.525")) == 62.53
    assert ledger.amount_of(Decimal("0.01"), Decimal("0.0075")) == Decimal("0.0001")


def test_the_rate_of_the_day_is_kept_with_each_line(database: Database) -> None:
    first, second = add(database, count=2, seconds=10)
    for each, rate in ((first, RATE), (second, Decimal("0.0075"))):
        task_of(database, ANN)
        with database.transaction() as session:
            submitting.submit(session, each, ANN, "a text", rate_per_second=rate)
    with database.transaction() as session:
        lines = session.execute(select(Entry.rate_per_second, Entry.amount).order_by(Entry.id)).all()
    assert [tuple(line) for line in lines] == [(RATE, Decimal("0.5")), (Decimal("0.0075"), Decimal("0.075"))]


def test_who_is_late_is_not_too_late_as_long_as_nobody_else_has_it(database: Database) -> None:
    (only,) = add(database)
    task_of(database, ANN)
    age(database, ANN, hours=2)
    expire(database)
    assert isinstance(submit(database, only, ANN, "late"), Annotation)
    assert states(database, only) == [(ANN, "accepted")]
    assert task_of(database, BOB) is None


def test_who_is_late_leaves_the_next_ones_hands_alone_and_their_text_is_kept(database: Database) -> None:
    (only,) = add(database)
    task_of(database, ANN)
    age(database, ANN, hours=2)
    expire(database)
    assert task_of(database, BOB) == only
    late = submit(database, only, ANN, "a late text")
    assert isinstance(late, Late)
    assert late.why == "held"
    with database.transaction() as session:
        kept = submitting.kept(session, late.assignment_id)
        assert kept
        assert (kept.agent_id, kept.kept_text) == (ANN, "a late text")
    assert isinstance(submit(database, only, BOB, "in time"), Annotation)
    done = submit(database, only, ANN, "later still")
    assert isinstance(done, Late)
    assert done.why == "done"
    with database.transaction() as session:
        assert [row.text for row in session.scalars(select(Annotation))] == ["in time"]
        assert session.scalar(select(func.count()).select_from(Entry)) == 1


def test_a_text_of_what_was_skipped_or_never_given_is_not_taken(database: Database) -> None:
    (only,) = add(database)
    with pytest.raises(NotAssigned):
        submit(database, only, ANN)
    task_of(database, ANN)
    skip(database, only, ANN)
    late = submit(database, only, ANN)
    assert isinstance(late, Late)
    assert late.why == "skipped"


def test_two_people_write_down_what_is_to_be_annotated_twice(database: Database) -> None:
    (only,) = add(database, double_percent=100)
    assert task_of(database, ANN) == task_of(database, BOB) == only
    assert task_of(database, CY) is None
    assert isinstance(submit(database, only, ANN, "one"), Annotation)
    assert task(database, only).state == "open"
    # Nobody does both.
    assert task_of(database, ANN) is None
    skip(database, only, BOB)
    assert task_of(database, CY) == only
    assert isinstance(submit(database, only, CY, "two"), Annotation)
    assert task(database, only).state == "done"
    with database.transaction() as session:
        slots = session.scalars(select(Assignment.slot).where(Assignment.state == "accepted").order_by(Assignment.id))
        assert list(slots) == [1, 2]


def test_a_share_of_tasks_is_annotated_twice(database: Database) -> None:
    several = add(database, count=200, double_percent=20)
    with database.transaction() as session:
        double = session.scalar(select(func.count()).where(Task.id.in_(several), Task.slots == 2))
    assert double == 40


def test_known_tasks_are_mixed_in_and_nobody_gets_one_twice(database: Database) -> None:
    (gold,) = add(database, gold_text="what is right")
    plain = add(database, count=3)
    mixing = Choice(source=HERE.source, gold_share=20)
    assert transcribing.given(database, ANN, mixing, draw=0.2).task.id == plain[0]  # type: ignore[union-attr]
    submit(database, plain[0], ANN)
    assert transcribing.given(database, ANN, mixing, draw=0.1).task.id == gold  # type: ignore[union-attr]
    assert isinstance(submit(database, gold, ANN), Annotation)
    assert task(database, gold).state == "open"
    assert transcribing.given(database, ANN, mixing, draw=0.1).task.id == plain[1]  # type: ignore[union-attr]
    # Two may have it at once.
    assert transcribing.given(database, BOB, mixing, draw=0.0).task.id == gold  # type: ignore[union-attr]
    assert transcribing.given(database, CY, mixing, draw=0.0).task.id == gold  # type: ignore[union-attr]


def test_who_is_paused_keeps_what_they_have_and_gets_no_more(database: Database) -> None:
    first, _ = add(database, count=2)
    task_of(database, ANN)
    with database.transaction() as session:
        agents.pause(session, ANN, "to be spoken to")
    assert task_of(database, ANN) == first
    assert isinstance(submit(database, first, ANN), Annotation)
    assert task_of(database, ANN) is None
    with database.transaction() as session:
        agents.pause(session, ANN, None)
    assert task_of(database, ANN) is not None


def test_there_are_as_many_as_can_be_had_and_as_are_in_hand(database: Database) -> None:
    several = add(database, count=5)
    task_of(database, ANN)
    task_of(database, BOB)
    skip(database, several[1], BOB)
    with database.transaction() as session:
        counted = tasks.counts(session, HERE.source)
        assert (counted.available, counted.locked, counted.unlabeled) == (4, 1, 5)
        assert tasks.not_for(session, BOB, HERE.source) == 1
        assert tasks.not_for(session, CY, HERE.source) == 0


def test_what_came_to_nothing_is_taken_back_once_and_said_why(database: Database) -> None:
    (only,) = add(database, seconds=10)
    with database.transaction() as session:
        session.execute(update(Task).values(source="label_studio"))
    theirs = Choice(source="label_studio")
    assert task_of(database, ANN, theirs) == only
    submit(database, only, ANN)
    with database.transaction() as session:
        claimed = delivering.claim(session)
    assert claimed
    for _ in range(2):
        with database.transaction() as session:
            delivering.task_is_gone(session, claimed, "It was removed.")
    assert states(database, only) == [(ANN, "void")]
    assert task(database, only).state == "gone"
    with database.transaction() as session:
        lines = session.scalars(select(Entry).order_by(Entry.id)).all()
        assert [(line.kind, line.amount) for line in lines] == [
            ("earned", Decimal("0.5")),
            ("reversed", Decimal("-0.5")),
        ]
        assert lines[1].note == "It was removed."
        assert ledger.balance(session, ANN) == 0
        assert agents.get(session, ANN).tasks_completed == 0


def test_what_is_paid_out_is_due_no_more(database: Database) -> None:
    (only,) = add(database, seconds=100)
    task_of(database, ANN)
    submit(database, only, ANN)
    with database.transaction() as session:
        ledger.add_bonus(session, ANN, Decimal("1.25"), "well done")
    with database.transaction() as session:
        assert ledger.balance(session, ANN) == Decimal("6.25")
        with pytest.raises(Conflict, match=r"has 6\.2500 to get; 7\.0000 cannot"):
            ledger.pay_out(session, ANN, Decimal("7.00"), None)
    with database.transaction() as session:
        assert ledger.pay_out(session, ANN, None, "bank").amount == Decimal("-6.25")
    with database.transaction() as session:
        (statement,) = ledger.statements(session, since=None, until=None)
        assert (statement.tasks, statement.earned, statement.bonus, statement.paid_out, statement.balance) == (
            1,
            Decimal(5),
            Decimal("1.25"),
            Decimal("6.25"),
            Decimal(0),
        )
        with pytest.raises(Conflict):
            ledger.pay_out(session, ANN, None, None)
