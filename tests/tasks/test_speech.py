"""The bodies of speech jobs with the real engine, in this process."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from models import speech_clips
from models.db import Database
from models.files import FileStore
from models.jobs import lifecycle, waiters
from models.jobs.lifecycle import NewItem
from models.jobs.tables import Job
from models.speech_clips import ClipSpec, SpeechClip
from tasks import run, speech
from tasks.process import Process
from tests import making
from tests.conftest import eventually
from workers.audio import codec
from workers.audio.clip import Clip
from workers.tts.speak import Speech

SPEAK, PREFETCH = "speech.speak", "speech.prefetch"
HELLO = making.spec("Hello there.")
Rung = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def own_store(process: Process) -> Iterator[None]:
    """A store that begins empty: its files are named by their content, and other tests say hello too."""
    root = process.settings.var_dir / "files of speech tests"
    process.files = FileStore(root)
    yield
    shutil.rmtree(root)


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were really synthesized."""
    texts: list[str] = []
    speak_text = speech.speak_text

    def noting(provider: Any, text: str, **how: Any) -> Speech:
        texts.append(text)
        return speak_text(provider, text, **how)

    monkeypatch.setattr(speech, "speak_text", noting)
    return texts


def submit(database: Database, clip: ClipSpec = HELLO, form: str = "wav") -> Job:
    return making.submit(database, kind=SPEAK, live=True, params={"clip": vars(clip), "form": {"format": form}})


def speak(database: Database, clip: ClipSpec = HELLO, form: str = "wav") -> Job:
    """The job after its slice."""
    job = submit(database, clip, form)
    run.run_slice(SPEAK, job.id)
    return making.read(database, job)


def result(job: Job) -> dict[str, Any]:
    assert job.state == "succeeded", f"{job.state}: {job.error_code}: {job.error_message}"
    assert job.result is not None
    return job.result


def clip_state(database: Database, clip: ClipSpec = HELLO) -> str | None:
    with database.transaction() as session:
        found = session.get(SpeechClip, clip.key)
        return found.state if found else None


def sound(process: Process, made: dict[str, Any]) -> Clip:
    return codec.decode(process.files.path(made["file"]).read_bytes())


# --- Making and finding ----------------------------------------------------------------------------------------------


def test_a_new_text_is_spoken_and_stored(process: Process, database: Database, spoken: list[str]) -> None:
    made = result(speak(database))
    assert (made["clip"], made["form"]["format"], made["cached"]) == (HELLO.key, "wav", False)
    clip = sound(process, made)
    assert clip.sample_rate_hz == made["sample_rate_hz"] == 24000
    assert made["duration_seconds"] == pytest.approx(clip.duration_seconds, abs=0.001)
    assert 0.3 < clip.duration_seconds < 3
    assert np.abs(clip.samples).max() > 0.05
    assert made["size_bytes"] == process.files.size(made["file"])
    assert spoken == ["Hello there."]
    assert clip_state(database) == "ready"


def test_the_same_text_again_is_found(database: Database, spoken: list[str]) -> None:
    first, second = result(speak(database)), result(speak(database))
    assert second == first | {"cached": True}
    assert len(spoken) == 1


def test_another_format_is_derived_from_the_clip_without_speaking(
    process: Process, database: Database, spoken: list[str]
) -> None:
    wav, flac = result(speak(database)), result(speak(database, form="flac"))
    assert (flac["form"]["format"], flac["cached"]) == ("flac", True)
    assert flac["file"] != wav["file"]
    assert np.array_equal(sound(process, flac).samples, sound(process, wav).samples)
    assert flac["size_bytes"] < wav["size_bytes"]
    assert len(spoken) == 1
    assert result(speak(database, form="flac")) == flac


def test_a_text_asked_for_in_another_format_first_is_kept_in_both(
    process: Process, database: Database, spoken: list[str]
) -> None:
    flac = result(speak(database, form="flac"))
    assert (flac["form"]["format"], flac["cached"]) == ("flac", False)
    wav = result(speak(database))
    assert wav["cached"]
    assert np.array_equal(sound(process, flac).samples, sound(process, wav).samples)
    assert len(spoken) == 1


def test_speed_and_text_make_other_clips(process: Process, database: Database) -> None:
    normal = sound(process, result(speak(database)))
    slow = sound(process, result(speak(database, making.spec("Hello there.", speed=0.5))))
    assert slow.duration_seconds > normal.duration_seconds * 1.5


# --- What goes missing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_a_file_removed_by_hand_is_made_again(
    process: Process, database: Database, spoken: list[str], form: str
) -> None:
    lost = result(speak(database))
    process.files.remove([lost["file"]])
    job = speak(database, form=form)
    assert (job.state, job.error_code) == ("queued", "file_missing")
    making.change(database, job, run_after=job.created_at)
    run.run_slice(SPEAK, job.id)
    healed = result(making.read(database, job))
    assert (healed["form"]["format"], healed["cached"]) == (form, False)
    assert process.files.exists(healed["file"])
    assert len(spoken) == 2


def test_a_damaged_file_is_made_again(process: Process, database: Database, spoken: list[str]) -> None:
    path = process.files.path(result(speak(database))["file"])
    path.chmod(0o600)
    path.write_bytes(b"no sound")
    assert speak(database, form="flac").error_code == "file_missing"
    assert result(speak(database))["cached"] is False
    assert len(spoken) == 2


def test_a_full_disk_is_tried_again_and_the_clip_left_to_the_next(
    process: Process, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(store: FileStore, content: bytes) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(FileStore, "put", full)
        job = speak(database)
    assert (job.state, job.error_code, job.error_message) == ("queued", "disk_full", "The disk is full.")
    assert clip_state(database) == "absent"
    assert result(speak(database))["cached"] is False


def test_another_fault_of_the_disk_is_not_called_full(
    process: Process, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(store: FileStore, content: bytes) -> str:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(FileStore, "put", broken)
    assert speak(database).error_code == "internal_error"
    assert clip_state(database) == "absent"


@pytest.mark.parametrize("text", ["🙂", "…", "?! 🎉\n\n🎉"])
def test_a_text_without_a_word_fails_at_once_and_leaves_nothing_in_the_way(database: Database, text: str) -> None:
    clip = making.spec(text)
    job = speak(database, clip)
    assert (job.state, job.error_code, job.attempts) == ("failed", "nothing_to_say", 1)
    assert job.error_message == "text has no word that voice heart can say"
    assert clip_state(database, clip) == "absent"


# --- One synthesis ---------------------------------------------------------------------------------------------------


def test_two_who_want_the_same_text_at_once_have_it_spoken_once(
    database: Database, spoken: list[str], monkeypatch: pytest.MonkeyPatch, rung: Rung
) -> None:
    first, second = submit(database), submit(database, form="flac")
    jobs = {job.id: job for job in (first, second)}
    speak_text = speech.speak_text

    def while_the_other_parks(provider: Any, text: str, **how: Any) -> Speech:
        eventually(lambda: any(making.read(database, job).waits_on for job in jobs.values()))
        return speak_text(provider, text, **how)

    monkeypatch.setattr(speech, "speak_text", while_the_other_parks)
    making.at_once(2, lambda number: run.run_slice(SPEAK, list(jobs)[number]))
    # The one who had to wait was rung when the clip was ready, and finds it.
    (woken,) = rung()
    run.run_slice(SPEAK, woken)
    (other,) = set(jobs) - {woken}
    assert result(making.read(database, jobs[other]))["cached"] is False
    assert result(making.read(database, jobs[woken]))["cached"] is True
    assert making.read(database, jobs[woken]).attempts == 1
    assert spoken == ["Hello there."]


def test_many_who_come_at_any_moment_have_it_spoken_once(database: Database, spoken: list[str], rung: Rung) -> None:
    jobs = [submit(database, form=form) for form in ("wav", "flac") * 4]
    making.at_once(len(jobs), lambda number: run.run_slice(SPEAK, jobs[number].id))
    for job_id in rung():
        run.run_slice(SPEAK, job_id)
    made = [result(making.read(database, job)) for job in jobs]
    assert len({one["file"] for one in made}) == 2
    assert sum(not one["cached"] for one in made) == 1
    assert spoken == ["Hello there."]


def test_when_the_maker_fails_the_one_who_waits_makes_it(
    database: Database, spoken: list[str], monkeypatch: pytest.MonkeyPatch, rung: Rung
) -> None:
    first, second = submit(database), submit(database)
    speak_text = speech.speak_text
    failed: list[str] = []

    def fail_once(provider: Any, text: str, **how: Any) -> Speech:
        if not failed:
            failed.append(text)
            eventually(lambda: any(making.read(database, job).waits_on for job in (first, second)))
            raise MemoryError
        return speak_text(provider, text, **how)

    monkeypatch.setattr(speech, "speak_text", fail_once)
    making.at_once(2, lambda number: run.run_slice(SPEAK, (first, second)[number].id))
    (woken,) = rung()
    run.run_slice(SPEAK, woken)
    states = {job.id: making.read(database, job).state for job in (first, second)}
    assert states.pop(woken) == "succeeded"
    assert list(states.values()) == ["queued"]


def test_a_claim_of_a_maker_that_died_is_made_by_the_next(database: Database, rung: Rung) -> None:
    with database.transaction() as session:
        speech_clips.claim(session, HELLO, node="dead", lease_seconds=-1)
    job = speak(database)
    assert (job.state, job.waits_on) == ("queued", f"clip:{HELLO.key}")
    with database.transaction() as session:
        assert speech_clips.return_lapsed(session) == [HELLO.key]
    making.change(database, job, run_after=job.created_at)
    run.run_slice(SPEAK, job.id)
    assert result(making.read(database, job))["cached"] is False


def test_a_claim_that_postgres_forgot_as_it_was_killed_is_made_again_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, rung: Rung
) -> None:
    speak_text = speech.speak_text

    def forgotten(provider: Any, text: str, **how: Any) -> Speech:
        monkeypatch.setattr(speech, "speak_text", speak_text)
        with database.transaction() as session:
            session.delete(session.get_one(SpeechClip, HELLO.key))
        return speak_text(provider, text, **how)

    monkeypatch.setattr(speech, "speak_text", forgotten)
    job = speak(database)
    assert (job.state, job.token, rung()) == ("queued", None, [job.id])
    run.run_slice(SPEAK, job.id)
    assert result(making.read(database, job))["cached"] is False


# --- Not wanted any more ---------------------------------------------------------------------------------------------


def test_live_speech_whose_listener_left_stops_before_its_next_sentence(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "REPORT_SECONDS", 0.0)
    clip = making.spec("One. Two. Three. Four. Five.")
    job = submit(database, clip)
    with database.transaction() as session:
        waiter = waiters.join(session, job.id)
    said: list[float] = []
    report = run.Work.report

    def leave_after_two(work: run.Work, progress: float, phase: str) -> None:
        said.append(progress)
        if len(said) == 5:
            with database.transaction() as session:
                waiters.leave(session, [waiter])
        report(work, progress, phase)

    monkeypatch.setattr(run.Work, "report", leave_after_two)
    run.run_slice(SPEAK, job.id)
    gone = making.read(database, job)
    assert (gone.state, gone.error_code) == ("cancelled", "abandoned")
    # Before each piece, and after it.
    assert said == pytest.approx([0.0, 0.0, 0.2, 0.2, 0.4])
    assert clip_state(database, clip) == "absent"


def test_speech_that_was_finished_when_it_was_cancelled_is_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch, spoken: list[str]
) -> None:
    store = speech.store

    def cancel_first(*args: Any) -> Any:
        with database.transaction() as session:
            lifecycle.cancel(session, job.id)
        return store(*args)

    job = submit(database)
    with monkeypatch.context() as patch:
        patch.setattr(speech, "store", cancel_first)
        run.run_slice(SPEAK, job.id)
    assert making.read(database, job).state == "cancelled"
    assert clip_state(database) == "ready"
    assert result(speak(database))["cached"]
    assert len(spoken) == 1


def test_the_lease_of_a_clip_is_kept_while_it_is_made(
    process: Process, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak_text = speech.speak_text
    kept: list[bool] = []

    def slow(provider: Any, text: str, **how: Any) -> Speech:
        with database.transaction() as session:
            clip = session.get_one(SpeechClip, HELLO.key)
            before, clip.lease_until = clip.lease_until, clip.created_at
        process.beat()
        with database.transaction() as session:
            after = session.get_one(SpeechClip, HELLO.key).lease_until
            kept.append(before is not None and after is not None and after >= before)
        return speak_text(provider, text, **how)

    monkeypatch.setattr(speech, "speak_text", slow)
    result(speak(database))
    assert kept == [True]


# --- Beforehand ------------------------------------------------------------------------------------------------------


def segments(*texts: str) -> list[NewItem]:
    return [NewItem({"segment_id": text, "clip": vars(making.spec(text))}) for text in texts]


def test_the_segments_of_a_course_are_made_one_by_one(
    database: Database, spoken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "SLICE_SECONDS", 20.0)
    job = making.submit(database, kind=PREFETCH, items=segments("One.", "🙂", "Two.", "One."))
    run.run_slice(PREFETCH, job.id)
    done = making.read(database, job)
    assert (done.state, done.items_succeeded, done.items_failed) == ("succeeded", 3, 1)
    items = making.read_items(database, job)
    assert [item.error_code for item in items] == [None, "nothing_to_say", None, None]
    assert [item.result and item.result["cached"] for item in items] == [False, None, False, True]
    assert spoken == ["One.", "🙂", "Two."]
    assert result(speak(database, making.spec("Two.")))["cached"]


def test_live_speech_overtakes_a_segment_that_merely_waits(database: Database, spoken: list[str]) -> None:
    job = making.submit(database, kind=PREFETCH, items=segments("Hello there."))
    assert result(speak(database))["cached"] is False
    run.run_slice(PREFETCH, job.id)
    (item,) = making.read_items(database, job)
    assert item.result is not None
    assert item.result["cached"] is True
    assert spoken == ["Hello there."]


def test_live_speech_joins_a_segment_that_is_being_made(
    database: Database, spoken: list[str], monkeypatch: pytest.MonkeyPatch, rung: Rung
) -> None:
    live = submit(database)
    prefetch = making.submit(database, kind=PREFETCH, items=segments("Hello there."))
    speak_text = speech.speak_text

    def while_live_parks(provider: Any, text: str, **how: Any) -> Speech:
        run.run_slice(SPEAK, live.id)
        assert making.read(database, live).waits_on == f"clip:{HELLO.key}"
        return speak_text(provider, text, **how)

    monkeypatch.setattr(speech, "speak_text", while_live_parks)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(run.run_slice, PREFETCH, prefetch.id).result(30)
    assert live.id in rung()
    run.run_slice(SPEAK, live.id)
    assert result(making.read(database, live))["cached"] is True
    assert spoken == ["Hello there."]
