"""Texts on their way to Label Studio: each is there once, whatever happens under way, and paid once."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from models.db import Database
from models.transcription import delivering, ledger
from models.transcription.assigning import Choice
from models.transcription.submitting import submit
from models.transcription.tables import LABEL_STUDIO, Annotation, Assignment, Task
from tasks import annotations, senders
from tasks import label_studio as syncing
from tasks.process import Process
from tests import transcribing
from tests.conftest import eventually
from tests.making import at_once
from tests.studio import LEGACY, PERSONAL, StandIn, label_studio
from tests.transcribing import tone
from workers.clients.label_studio import LabelStudio

ROOT = Path(__file__).parents[2]
THERE = Choice(source=LABEL_STUDIO)
RATE = Decimal("0.05")


@pytest.fixture
def studio(process: Process, root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The Label Studio of this worker's settings; the senders are done before the database is."""
    with label_studio() as running:
        configure(process, monkeypatch, label_studio_url=running.url, label_studio_api_key=LEGACY)
        annotations._server.cache_clear()
        annotations._project.cache_clear()
        # What is tried at once is tried at once.
        monkeypatch.setattr(annotations, "AWAY_SECONDS", 0.0)
        annotations.answers.heard()
        yield running
        idle()


def configure(process: Process, monkeypatch: pytest.MonkeyPatch, **changed: object) -> None:
    monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, **changed))


def idle() -> None:
    eventually(lambda: annotations.senders.at_work == 0, within_seconds=15)


def handed_in(database: Database, studio: StandIn, count: int = 1) -> list[int]:
    """The numbers of tasks whose texts were taken, each from an agent of its own."""
    made = studio.add(*[tone(2.0)] * count)
    syncing.sync()
    syncing.prepare()
    for number, task in enumerate(made):
        agent = 100 + number
        assert transcribing.task_of(database, agent, THERE) == task
        with database.transaction() as session:
            assert isinstance(submit(session, task, agent, f"text {number}", rate_per_second=RATE), Annotation)
    return made


def text_of(database: Database, task: int) -> Annotation:
    with database.transaction() as session:
        return session.scalars(select(Annotation).where(Annotation.task_id == task)).one()


def make_due(database: Database) -> None:
    with database.transaction() as session:
        session.execute(update(Annotation).values(due_at=func.now()))


def balance(database: Database, agent: int = 100) -> Decimal:
    with database.transaction() as session:
        return ledger.balance(session, agent)


def assert_written_once(database: Database, studio: StandIn, task: int, text: str = "text 0") -> None:
    """Fails unless Label Studio has one annotation of it, and ours knows its number."""
    (there,) = studio.annotations[task]
    ours = text_of(database, task)
    assert (ours.state, ours.label_studio_annotation_id, ours.unique_id) == ("written", there["id"], there["unique_id"])
    assert studio.texts(task) == [text]
    assert ours.written_at is not None
    assert ours.problem is None


def test_a_text_is_written_once_and_its_number_is_kept(database: Database, studio: StandIn) -> None:
    (task,) = handed_in(database, studio)
    for _ in range(3):
        annotations.deliver()
        make_due(database)
    idle()
    assert_written_once(database, studio, task)
    assert text_of(database, task).attempts == 1
    assert balance(database) == Decimal("0.1")


def test_rung_many_times_at_once_each_is_written_once_by_two_at_most(database: Database, studio: StandIn) -> None:
    made = handed_in(database, studio, 12)
    busy: list[int] = []
    studio.before = lambda method, path: busy.append(annotations.senders.at_work)
    at_once(6, lambda _: annotations.deliver())
    eventually(lambda: all(text_of(database, task).state == "written" for task in made))
    for number, task in enumerate(made):
        assert_written_once(database, studio, task, f"text {number}")
    assert max(busy) == annotations.SENDERS


def test_with_a_personal_token_whose_bearer_runs_out_under_way(
    database: Database, studio: StandIn, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(process, monkeypatch, label_studio_api_key=PERSONAL)
    studio.bearer_seconds = 0.3
    studio.after_seconds = 0.1
    made = handed_in(database, studio, 4)
    annotations.deliver()
    eventually(lambda: all(text_of(database, task).state == "written" for task in made))
    for number, task in enumerate(made):
        assert_written_once(database, studio, task, f"text {number}")
    assert any(each.status == 401 for each in studio.asked)


def test_while_it_is_away_texts_wait_ever_longer_and_are_written_when_it_is_back(
    database: Database, studio: StandIn
) -> None:
    (task,) = handed_in(database, studio)
    studio.go_away()
    pauses = []
    for _ in range(len(delivering.PAUSES_SECONDS) + 2):
        annotations.deliver()
        idle()
        with database.transaction() as session:
            left = session.scalar(select(func.extract("epoch", Annotation.due_at - func.now())))
        pauses.append(round(float(left or 0)))
        make_due(database)
    assert pauses == [*delivering.PAUSES_SECONDS, 300, 300]
    ours = text_of(database, task)
    assert (ours.state, ours.problem) == ("pending", "Label Studio is away (ConnectionError).")
    assert balance(database) == Decimal("0.1")
    studio.come_back()
    annotations.deliver()
    idle()
    assert_written_once(database, studio, task)


def test_while_it_is_away_few_are_tried_and_the_others_are_written_as_soon_as_it_is_back(
    database: Database, studio: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = handed_in(database, studio, count=12)
    monkeypatch.setattr(annotations, "AWAY_SECONDS", 2.0)
    studio.go_away()
    for _ in range(5):
        annotations.deliver()
        idle()
    tried = [text_of(database, task).attempts for task in made]
    assert 1 <= sum(tried) <= annotations.SENDERS
    studio.come_back()

    def written() -> int:
        annotations.deliver()
        return sum(text_of(database, task).state == "written" for task in made)

    # Nobody makes them due: they are.
    eventually(lambda: written() >= len(made) - annotations.SENDERS, within_seconds=10)


@pytest.mark.parametrize("status", [500, 503, 401, 403, 429])
def test_one_that_fails_is_tried_again(database: Database, studio: StandIn, status: int) -> None:
    (task,) = handed_in(database, studio)
    studio.status = status
    annotations.deliver()
    idle()
    ours = text_of(database, task)
    assert (ours.state, ours.attempts) == ("pending", 1)
    assert str(status) in (ours.problem or "")
    annotations.deliver()
    assert text_of(database, task).attempts == 1
    studio.status = None
    make_due(database)
    annotations.deliver()
    idle()
    assert_written_once(database, studio, task)


def test_somebodys_page_in_its_place_is_no_success(database: Database, studio: StandIn) -> None:
    (task,) = handed_in(database, studio)
    studio.page = b"<html>We are back soon.</html>"
    annotations.deliver()
    idle()
    assert text_of(database, task).state == "pending"
    studio.page = None
    make_due(database)
    annotations.deliver()
    idle()
    assert_written_once(database, studio, task)


def test_a_slow_one_does_not_hold_up_the_one_who_rang(database: Database, studio: StandIn) -> None:
    made = handed_in(database, studio, 3)
    studio.after_seconds = 1.5
    began = time.monotonic()
    annotations.deliver()
    assert time.monotonic() - began < senders.PATIENCE_SECONDS + 1.0
    eventually(lambda: all(text_of(database, task).state == "written" for task in made), within_seconds=20)


def test_one_that_answers_too_late_but_has_written_is_asked_for_the_number(
    database: Database, studio: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task,) = handed_in(database, studio)
    impatient = LabelStudio(studio.url, LEGACY, 1, timeout_seconds=0.3)
    monkeypatch.setattr(annotations, "_server", lambda *_: impatient)
    annotations._project(impatient)

    def linger(method: str, path: str) -> None:
        if method == "POST":
            studio.after = lambda *_: None
            time.sleep(0.8)

    studio.after = linger
    annotations.deliver()
    idle()
    assert (text_of(database, task).state, studio.texts(task)) == ("pending", ["text 0"])
    make_due(database)
    annotations.deliver()
    idle()
    assert_written_once(database, studio, task)


def test_one_that_fails_after_having_written_has_one_annotation_and_we_know_its_number(
    database: Database, studio: StandIn
) -> None:
    (task,) = handed_in(database, studio)
    studio.breaks_after_writing = 1
    annotations.deliver()
    idle()
    assert (text_of(database, task).state, len(studio.annotations[task])) == ("pending", 1)
    make_due(database)
    annotations.deliver()
    idle()
    assert_written_once(database, studio, task)
    assert text_of(database, task).attempts == 2


def test_a_task_that_is_deleted_meanwhile_is_void_unpaid_and_explained(database: Database, studio: StandIn) -> None:
    one, two = handed_in(database, studio, 2)
    assert balance(database, 100) == Decimal("0.1")
    studio.forget(one)
    annotations.deliver()
    idle()
    why = f"Task {one} was removed from Label Studio."
    ours = text_of(database, one)
    assert (ours.state, ours.problem, ours.text) == ("refused", why, "text 0")
    with database.transaction() as session:
        assert session.get_one(Task, one).state == "gone"
        assignment = session.get_one(Assignment, ours.assignment_id)
        assert (assignment.state, assignment.reason) == ("void", why)
    assert (balance(database, 100), balance(database, 101)) == (Decimal(), Decimal("0.1"))
    assert_written_once(database, studio, two, "text 1")
    # It is not tried again, and nothing is taken back twice.
    make_due(database)
    annotations.deliver()
    idle()
    assert (text_of(database, one).attempts, balance(database, 100)) == (1, Decimal())


def test_a_task_deleted_after_its_text_was_written_stays_paid(database: Database, studio: StandIn) -> None:
    (task,) = handed_in(database, studio)
    annotations.deliver()
    idle()
    studio.forget(task)
    syncing.sync(whole=True)
    with database.transaction() as session:
        assert session.get_one(Task, task).state == "gone"
    assert (text_of(database, task).state, balance(database)) == ("written", Decimal("0.1"))


def test_a_sender_whose_turn_is_over_changes_nothing_any_more(database: Database, studio: StandIn) -> None:
    (task,) = handed_in(database, studio)
    with database.transaction() as session:
        late = delivering.claim(session)
    assert late is not None
    make_due(database)
    annotations.deliver()
    idle()
    with database.transaction() as session:
        delivering.put_off(session, late, "too late")
        delivering.task_is_gone(session, late, "too late")
        delivering.written(session, late, 999_999)
    assert_written_once(database, studio, task)
    assert balance(database) == Decimal("0.1")


def test_without_a_label_studio_any_more_texts_wait_and_say_why(
    database: Database, studio: StandIn, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task,) = handed_in(database, studio)
    configure(process, monkeypatch, label_studio_url="")
    annotations.deliver()
    idle()
    ours = text_of(database, task)
    assert (ours.state, ours.problem) == ("pending", "There is no Label Studio (LABEL_STUDIO_URL).")
    configure(process, monkeypatch, label_studio_url=studio.url)
    make_due(database)
    annotations.deliver()
    idle()
    assert_written_once(database, studio, task)


def test_a_project_where_texts_have_no_place_keeps_them_until_it_has_one(database: Database, studio: StandIn) -> None:
    (task,) = handed_in(database, studio)
    config, studio.config = studio.config, "<View/>"
    annotations.deliver()
    idle()
    assert "texts would have no place" in (text_of(database, task).problem or "")
    studio.config = config
    make_due(database)
    annotations.deliver()
    idle()
    assert_written_once(database, studio, task)


# --- A sender that is killed -----------------------------------------------------------------------------------------

SENDER = "from tasks import annotations; annotations.deliver(); import time; time.sleep(60)"


@pytest.mark.parametrize("at", ["before the POST", "between POST and commit", "after the commit"])
def test_a_sender_that_is_killed_leaves_exactly_one_annotation(database: Database, studio: StandIn, at: str) -> None:
    (task,) = handed_in(database, studio)
    studio.asked.clear()
    env = {**os.environ, "LABEL_STUDIO_URL": studio.url, "LABEL_STUDIO_API_KEY": LEGACY, "LABEL_STUDIO_PROJECT_ID": "1"}
    path = f"/api/tasks/{task}/annotations/"
    sender = subprocess.Popen([sys.executable, "-c", SENDER], cwd=ROOT, env=env)

    def kill(method: str, asked: str) -> None:
        if (method, asked) == (("GET", "/api/projects/1/") if at == "before the POST" else ("POST", path)):
            sender.send_signal(signal.SIGKILL)
            sender.wait()

    try:
        if at == "before the POST":
            studio.before = kill
        elif at == "between POST and commit":
            studio.after = kill
        else:
            eventually(lambda: text_of(database, task).state == "written", within_seconds=30)
            sender.send_signal(signal.SIGKILL)
        assert sender.wait(timeout=30) == -signal.SIGKILL
    finally:
        sender.kill()
        sender.wait()
    studio.before = studio.after = lambda method, path: None
    ours = text_of(database, task)
    done = at == "after the commit"
    assert (ours.state, ours.attempts) == ("written" if done else "pending", 1)
    assert len(studio.annotations[task]) == (0 if at == "before the POST" else 1)
    # Its turn is not over yet.
    annotations.deliver()
    idle()
    assert text_of(database, task).attempts == 1
    make_due(database)
    annotations.deliver()
    idle()
    assert_written_once(database, studio, task)
    assert text_of(database, task).attempts == (1 if done else 2)
    assert balance(database) == Decimal("0.1")
