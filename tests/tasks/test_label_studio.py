"""Tasks of Label Studio and their sound, brought here."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sqlalchemy import select

from models import redis_keys
from models.db import Database
from models.transcription import assigning, ledger
from models.transcription.assigning import Choice, NotAssigned
from models.transcription.submitting import Late, submit
from models.transcription.tables import LABEL_STUDIO, Annotation, Assignment, Task
from tasks import annotations
from tasks import label_studio as syncing
from tasks.process import Process
from tests import transcribing
from tests.conftest import eventually
from tests.making import at_once
from tests.studio import LEGACY, StandIn, label_studio
from tests.transcribing import tone
from workers.clients import label_studio as client

RATE = Decimal("0.05")
THERE = Choice(source=LABEL_STUDIO)


@pytest.fixture
def studio(process: Process, root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The Label Studio of this worker's settings."""
    with label_studio() as running:
        changed = {"label_studio_url": running.url, "label_studio_api_key": LEGACY, "label_studio_project_id": 1}
        monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, **changed))
        annotations._server.cache_clear()
        annotations._project.cache_clear()
        yield running
        eventually(lambda: annotations.senders.at_work == 0, within_seconds=15)


def row(database: Database, task_id: int) -> Task:
    with database.transaction() as session:
        return session.get_one(Task, task_id)


def states(database: Database) -> dict[int, str]:
    with database.transaction() as session:
        return {task.id: task.state for task in session.scalars(select(Task))}


def look(*, whole: bool = True) -> None:
    syncing.sync(whole=whole)


# --- Which tasks there are -------------------------------------------------------------------------------------------


def test_without_a_label_studio_nothing_is_looked_for(database: Database, process: Process) -> None:
    syncing.sync()
    syncing.prepare()
    assert states(database) == {}


def test_tasks_come_here_with_what_is_said_of_them(database: Database, studio: StandIn) -> None:
    (one,) = studio.add(tone(1.0), draft="as heard", language="de")
    (two,) = studio.add(tone(1.0), labeled=True)
    look()
    found = row(database, one)
    assert (found.source, found.state, found.draft, found.language) == (LABEL_STUDIO, "new", "as heard", "de")
    assert (found.file_name, found.audio_url) == (f"{one:08x}-take_{one}.wav", studio.tasks[one]["data"]["audio"])
    assert states(database) == {one: "new", two: "done"}


def test_what_came_lately_is_found_by_the_next_look_which_reads_no_more_than_that(
    database: Database, studio: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE_TASKS", 2)
    studio.add(*[tone(1.0)] * 6)
    look()
    studio.asked.clear()
    (late,) = studio.add(tone(1.0))
    syncing.sync()
    assert states(database)[late] == "new"
    assert studio.times("GET", "/api/tasks/") == 1


def test_all_tasks_are_looked_at_every_ten_minutes(
    database: Database, studio: StandIn, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = studio.add(tone(1.0), tone(1.0))
    syncing.sync()
    assert 590 < process.redis.ttl(redis_keys.LABEL_STUDIO_LOOKED_AT) <= 600 == syncing.WHOLE_SECONDS
    studio.forget(one)
    syncing.sync()
    assert states(database) == {one: "new", two: "new"}
    process.redis.delete(redis_keys.LABEL_STUDIO_LOOKED_AT)
    syncing.sync()
    assert states(database) == {one: "gone", two: "new"}


def test_a_look_that_failed_is_a_whole_one_the_next_time(database: Database, studio: StandIn, process: Process) -> None:
    one, _ = studio.add(tone(1.0), tone(1.0))
    look()
    studio.forget(one)
    studio.status = 500
    look()
    assert states(database)[one] == "new"
    assert not process.redis.exists(redis_keys.LABEL_STUDIO_LOOKED_AT)
    studio.status = None
    syncing.sync()
    assert states(database)[one] == "gone"


def test_a_look_that_was_broken_off_is_a_whole_one_soon(
    database: Database, studio: StandIn, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE_TASKS", 2)
    monkeypatch.setattr(syncing, "_AT_ONCE", 2)
    studio.add(*[tone(1.0)] * 6)
    real = client.LabelStudio.tasks

    def dies(self: client.LabelStudio, *, newer_than: int = 0) -> Iterator[client.Listed]:
        for number, listed in enumerate(real(self, newer_than=newer_than)):
            if number == 3:
                # As a worker does that is killed: nothing of ours catches it.
                raise SystemExit
            yield listed

    with monkeypatch.context() as dying:
        dying.setattr(client.LabelStudio, "tasks", dies)
        with pytest.raises(SystemExit):
            syncing.sync()
    # The older ones are not known, and are found by no look but a whole one.
    assert len(states(database)) == 2
    assert 0 < process.redis.ttl(redis_keys.LABEL_STUDIO_LOOKED_AT) <= syncing.BROKEN_OFF_SECONDS < 600
    process.redis.delete(redis_keys.LABEL_STUDIO_LOOKED_AT)
    syncing.sync()
    assert len(states(database)) == 6


def test_a_look_that_a_webhook_asks_for_meanwhile_is_not_put_off(
    database: Database, studio: StandIn, process: Process
) -> None:
    studio.add(tone(1.0))

    def told(method: str, path: str) -> None:
        if path == "/api/tasks/":
            process.redis.delete(redis_keys.LABEL_STUDIO_LOOKED_AT)

    studio.before = told
    look()
    assert len(states(database)) == 1
    assert not process.redis.exists(redis_keys.LABEL_STUDIO_LOOKED_AT)


def test_one_that_is_away_loses_no_task(database: Database, studio: StandIn) -> None:
    made = studio.add(tone(1.0), tone(1.0))
    look()
    studio.go_away()
    look()
    assert states(database) == dict.fromkeys(made, "new")
    studio.come_back()
    studio.page = b'{"tasks": [], "total": 0}'
    look()
    # What an empty list says is asked for once more, task by task.
    assert states(database) == dict.fromkeys(made, "new")


def test_a_task_that_moved_to_a_page_that_was_read_is_not_lost(
    database: Database, studio: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE_TASKS", 3)
    made = studio.add(*[tone(1.0)] * 7)
    look()

    def remove(method: str, path: str) -> None:
        # As soon as the first page is read, one of it is removed: the first of the next page moves onto it.
        studio.after = lambda *_: None
        studio.forget(made[-1])

    seen = studio.times("GET", "/api/tasks/")
    studio.after = lambda method, path: None

    def first_page_is_out(method: str, path: str) -> None:
        if path == "/api/tasks/" and studio.times("GET", "/api/tasks/") == seen + 1:
            remove(method, path)

    studio.before = first_page_is_out
    look()
    assert made[-1] not in studio.tasks
    assert states(database) == dict.fromkeys(made, "new")
    look()
    assert states(database) == {**dict.fromkeys(made[:-1], "new"), made[-1]: "gone"}


def test_a_task_that_is_on_two_pages_is_as_the_later_one_says(
    database: Database, studio: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE_TASKS", 2)
    made = studio.add(*[tone(1.0)] * 4)

    def moves(method: str, path: str) -> None:
        # Before the second page is read, a new task moves one onto it that is labelled by now.
        if path == "/api/tasks/" and studio.times("GET", "/api/tasks/") == 1 and len(studio.tasks) == len(made):
            studio.add(tone(1.0))
            studio.tasks[made[2]]["is_labeled"] = True

    studio.before = moves
    look()
    assert states(database) == {**dict.fromkeys(made, "new"), made[2]: "done"}


def test_many_that_were_removed_are_marked_over_several_looks(
    database: Database, studio: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncing, "_ASKED_FOR", 2)
    made = studio.add(*[tone(1.0)] * 6)
    look()
    studio.forget(*made[:5])
    for left in (3, 1, 0):
        syncing.sync(whole=left == 3)
        assert list(states(database).values()).count("new") == left + 1


def test_a_removed_task_is_in_nobodys_hands_and_its_text_is_kept(database: Database, studio: StandIn) -> None:
    one, two = studio.add(tone(1.0), tone(1.0))
    look()
    syncing.prepare()
    assert transcribing.task_of(database, 1, THERE) == one
    studio.forget(one)
    look()
    found = row(database, one)
    assert (found.state, found.taken, found.problem) == ("gone", 0, "It was removed from Label Studio.")
    with database.transaction() as session, pytest.raises(NotAssigned):
        assigning.renew(session, one, 1)
    with database.transaction() as session:
        late = submit(session, one, 1, "in vain", rate_per_second=RATE)
    assert isinstance(late, Late)
    assert late.why == "gone"
    with database.transaction() as session:
        assert session.get_one(Assignment, late.assignment_id).kept_text == "in vain"
    # And they get on.
    assert transcribing.task_of(database, 1, THERE) == two


def test_an_agents_text_of_a_removed_task_is_void_and_what_it_earned_is_taken_back(
    database: Database, studio: StandIn
) -> None:
    (one,) = studio.add(tone(1.0))
    look()
    syncing.prepare()
    transcribing.given(database, 1, THERE)
    with database.transaction() as session:
        submit(session, one, 1, "in vain", rate_per_second=RATE)
    studio.forget(one)
    look()
    annotations.deliver()
    with database.transaction() as session:
        text = session.scalars(select(Annotation)).one()
        assert (text.state, text.problem) == ("refused", f"Task {one} was removed from Label Studio.")
        assert session.scalars(select(Assignment)).one().state == "void"
        assert ledger.balance(session, 1) == 0


def test_ones_labelled_by_hand_are_done_unless_somebody_holds_them(database: Database, studio: StandIn) -> None:
    one, two, three = studio.add(tone(1.0), tone(1.0), tone(1.0))
    look()
    syncing.prepare()
    assert transcribing.task_of(database, 1, THERE) == one
    for number in (one, two):
        studio.label(number)
    look()
    assert states(database) == {one: "open", two: "done", three: "open"}
    with database.transaction() as session:
        text = submit(session, one, 1, "ours beside it", rate_per_second=RATE)
    assert isinstance(text, Annotation)
    annotations.deliver()
    eventually(lambda: studio.texts(one) == ["by hand", "ours beside it"])
    # Whoever labelled the other takes it back.
    studio.tasks[two]["is_labeled"] = False
    look()
    assert states(database)[two] == "new"


def test_nothing_is_brought_back_that_is_in_hand_or_done(database: Database, studio: StandIn) -> None:
    one, two, three = studio.add(tone(1.0), tone(1.0), tone(1.0))
    look()
    syncing.prepare()
    assert transcribing.task_of(database, 1, THERE) == one
    assert transcribing.task_of(database, 2, THERE) == two
    with database.transaction() as session:
        submit(session, two, 2, "ours", rate_per_second=RATE)
    before = states(database), row(database, one).queued_at
    for _ in range(3):
        look()
        # The text of the second is not there yet, where it counts as not labelled still.
        assert (states(database), row(database, one).queued_at) == before
        assert [transcribing.task_of(database, agent, THERE) for agent in (1, 3, 4)] == [one, three, None]


def test_two_looks_at_once_do_no_more_than_one(database: Database, studio: StandIn) -> None:
    made = studio.add(*[tone(1.0)] * 30)
    look()
    studio.forget(*made[:3])
    made += studio.add(*[tone(1.0)] * 5)
    at_once(4, lambda number: syncing.sync(whole=number % 2 == 0))
    assert states(database) == {number: "gone" if number in made[:3] else "new" for number in made}


def test_odd_tasks_spoil_nothing_for_the_others(database: Database, studio: StandIn) -> None:
    odd = studio.add(*[tone(1.0)] * 7, draft="a\0b\ud800c")
    addresses = ["http://[", "/data/%00%ff.wav", "\0", "", None, ["a"], "\ud800.wav"]
    for number, address in zip(odd, addresses, strict=True):
        studio.tasks[number]["data"] = {"audio": address, "language": "d\0e"}
    (nameless,) = studio.add(tone(1.0))
    studio.tasks[nameless]["data"] = {}
    (good,) = studio.add(tone(1.0))
    look()
    assert states(database) == {odd[0]: "new", odd[1]: "new", good: "new"}
    assert (row(database, odd[0]).draft, row(database, odd[0]).language) == ("abc", "de")
    for _ in range(2):
        syncing.prepare()
    assert states(database) == {odd[0]: "broken", odd[1]: "broken", good: "open"}


# --- Their sound -----------------------------------------------------------------------------------------------------


def test_sound_is_here_before_anybody_asks_for_it(database: Database, studio: StandIn, process: Process) -> None:
    sound = tone(2.5)
    (one,) = studio.add(sound)
    look()
    assert transcribing.task_of(database, 1, THERE) is None
    syncing.prepare()
    held = transcribing.given(database, 1, THERE)
    assert held is not None
    assert (held.task.id, float(held.task.duration_seconds or 0), held.task.media_type) == (one, 2.5, "audio/wav")
    assert len(held.task.peaks or []) == 125
    assert process.files.path(held.task.file or "").read_bytes() == sound


def test_no_more_sound_is_fetched_than_is_wanted_ahead(
    database: Database, studio: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncing, "AHEAD", 2)
    made = studio.add(*[tone(1.0)] * 4)
    look()
    for _ in range(2):
        syncing.prepare()
    assert states(database) == dict(zip(made, ["open", "open", "new", "new"], strict=True))
    transcribing.given(database, 1, THERE)
    syncing.prepare()
    assert states(database)[made[2]] == "open"


def test_what_browsers_do_not_play_becomes_what_they_play(
    database: Database, studio: StandIn, process: Process
) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(8000) / 3), 8000, format="WAV", subtype="ULAW")
    (one,) = studio.add(file.getvalue())
    look()
    syncing.prepare()
    found = row(database, one)
    assert (found.state, found.media_type, float(found.duration_seconds or 0)) == ("open", "audio/flac", 1.0)
    assert soundfile.info(process.files.path(found.file or "")).format == "FLAC"


@pytest.mark.parametrize("sound", [b"no sound at all", b"", tone(1.0)[:30]])
def test_broken_sound_is_said_so_and_given_to_nobody(database: Database, studio: StandIn, sound: bytes) -> None:
    one, two = studio.add(sound, tone(1.0))
    look()
    syncing.prepare()
    assert states(database) == {one: "broken", two: "open"}
    assert row(database, one).problem
    assert transcribing.task_of(database, 1, THERE) == two
    # It stays so until its sound is another.
    look()
    assert states(database)[one] == "broken"
    studio.media["/data/better.wav"] = tone(1.5)
    studio.tasks[one]["data"]["audio"] = "/data/better.wav"
    look()
    syncing.prepare()
    assert (row(database, one).state, row(database, one).problem) == ("open", None)


def test_a_sound_that_is_not_to_be_had_now_keeps_no_other_waiting(database: Database, studio: StandIn) -> None:
    one, two, three = studio.add(tone(1.0), tone(1.0), tone(1.0))
    studio.paths[studio.tasks[one]["data"]["audio"]] = 500
    look()
    syncing.prepare()
    assert states(database) == {one: "new", two: "open", three: "open"}
    studio.paths.clear()
    syncing.prepare()
    assert states(database)[one] == "open"


def test_a_key_that_is_not_taken_any_more_breaks_no_sound(database: Database, studio: StandIn) -> None:
    made = studio.add(tone(1.0), tone(1.0))
    look()
    studio.status = 401
    syncing.prepare()
    assert states(database) == dict.fromkeys(made, "new")
    studio.status = None
    syncing.prepare()
    assert states(database) == dict.fromkeys(made, "open")


def test_while_it_is_away_sound_waits(database: Database, studio: StandIn) -> None:
    made = studio.add(tone(1.0), tone(1.0))
    look()
    studio.go_away()
    syncing.prepare()
    assert states(database) == dict.fromkeys(made, "new")
    studio.come_back()
    syncing.prepare()
    assert states(database) == dict.fromkeys(made, "open")


def test_sound_of_tasks_that_ended_is_let_go_of_but_not_while_somebody_hears_it(
    database: Database, studio: StandIn
) -> None:
    one, two, three = studio.add(tone(1.0), tone(1.1), tone(1.2))
    look()
    syncing.prepare()
    transcribing.given(database, 1, THERE)
    with database.transaction() as session:
        submit(session, one, 1, "done", rate_per_second=RATE)
    assert transcribing.task_of(database, 1, THERE) == two
    syncing.prepare()
    assert [row(database, number).file is None for number in (one, two, three)] == [True, False, False]
    assert row(database, one).duration_seconds is not None
