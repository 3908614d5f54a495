"""The body of deployments: what it plans, what it finds, when it waits, and when it gives up."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from config.settings import Settings
from models import curricula, curricula_changes, deployments, pronunciations, speech_pins, speech_voices, workers
from models.curricula import NewSegment, NewTopic
from models.db import Database
from models.deployment_plans import KIND, VOICE_KIND, VoiceConfig
from models.jobs import lifecycle
from models.jobs.tables import Job, JobItem
from models.pronunciations import Lexicon
from models.speech_clips import ClipSpec
from models.speech_pins import SpeechPin
from models.speech_renditions import Form, MadeFile
from models.workers import Worker
from tasks import deployments as bodies
from tasks import run, submit
from tasks.process import Process
from tests import making

TEXTS = ["One.", "Two and three.", "Four."]
JOE, QUICK = VoiceConfig("joe", "piper"), VoiceConfig("joe", "piper", speed=1.5, format="mp3")


@pytest.fixture(autouse=True)
def speaker(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that has an engine which no other has, as far as the register knows, on a lane that nobody serves."""
    monkeypatch.setattr(bodies, "background_lane", lambda pool: making.LANE)
    making.register(process.database, "a", making.LANE, engines={"piper": "1.0"})


def nobody_speaks(database: Database, *, draining: bool = True) -> None:
    """Its worker takes no more work, or does again."""
    with database.transaction() as session:
        session.execute(update(Worker).where(Worker.node == "a").values(draining=draining))


def course(database: Database, texts: list[str] = TEXTS) -> str:
    """The id of a stored course of two topics: all texts but the last, and the last."""
    topics = [
        NewTopic(title="Before", segments=[NewSegment(text) for text in texts[:-1]]),
        NewTopic(title="After", segments=[NewSegment(text) for text in texts[-1:]]),
    ]
    with database.transaction() as session:
        return curricula.create(session, title="A course", description="", topics=topics, extra={}, account_id=None).id


def deploy(database: Database, curriculum_id: str, *configs: VoiceConfig) -> Job:
    """A deployment that is due."""
    params = {
        "curriculum_id": curriculum_id,
        "title": None,
        "voice_configs": [vars(config) for config in configs or (JOE,)],
        "scheduled_time": None,
    }
    with database.transaction() as session:
        return submit.submit(session, KIND, lane=making.LANE, params=params, certain=True)[0]


def planned(database: Database, job: Job) -> Job:
    """The job after its body was called."""
    run.run_slice(KIND, job.id)
    return making.read(database, job)


def voices(database: Database, job: Job) -> list[Job]:
    """The jobs of its voices."""
    with database.transaction() as session:
        return deployments.children(session, job.id)


def clips(database: Database, voice: Job) -> list[ClipSpec]:
    """What the items of a voice will say, in order."""
    return [ClipSpec(**item.params["clip"]) for item in making.read_items(database, voice)]


def pins(database: Database, job: Job) -> set[str]:
    """The clips that it holds."""
    with database.transaction() as session:
        return set(session.scalars(select(SpeechPin.clip_key).where(SpeechPin.job_id == job.id)))


def act(database: Database, verb: Callable[..., object], job: Job, **kwargs: Any) -> None:
    """What somebody does to it."""
    with database.transaction() as session:
        verb(session, job.id, **kwargs)


def make_all(database: Database, voice: Job) -> None:
    """Every item of a voice, as if a worker had made it."""
    for item in making.claim_items(database, voice, 1000):
        clip = ClipSpec(**item.params["clip"])
        making.finish(database, item, {"clip": clip.key, "cached": False, "size_bytes": 10, "duration_seconds": 1.5})


def test_every_voice_gets_a_job_on_its_lane_with_every_segment_in_order(
    database: Database, rung: Callable[[], list[str]]
) -> None:
    job = planned(database, deploy(database, course(database), JOE, QUICK))
    assert (job.state, job.items_total, job.items_succeeded) == ("running", 6, 0)
    first, second = voices(database, job)
    for voice, config in ((first, JOE), (second, QUICK)):
        assert (voice.kind, voice.lane, voice.state) == (VOICE_KIND, making.LANE, "queued")
        assert VoiceConfig(**voice.params["voice_config"]) == config
        assert voice.resolution["engine"] == "piper"
        assert [(clip.text, clip.speed) for clip in clips(database, voice)] == [(text, config.speed) for text in TEXTS]
        places = [
            (item.params["topic_index"], item.params["segment_index"], item.params["form"]["format"])
            for item in making.read_items(database, voice)
        ]
        assert places == [(0, 0, config.format), (0, 1, config.format), (1, 0, config.format)]
    assert rung() == [first.id, second.id]
    assert [topic["title"] for topic in job.params["topics"]] == ["Before", "After"]


def test_what_it_will_make_is_pinned_from_the_beginning(database: Database) -> None:
    job = planned(database, deploy(database, course(database), JOE, QUICK))
    promised = {clip.key for voice in voices(database, job) for clip in clips(database, voice)}
    assert len(promised) == 6
    assert pins(database, job) == promised


def test_what_is_there_in_that_form_is_done_and_the_rest_is_not(database: Database, process: Process) -> None:
    curriculum_id = course(database)
    with database.transaction() as session:
        resolution = speech_voices.resolve(workers.engines(session), "joe", "piper")
    content = b"sound"
    made = MadeFile(Form("wav"), process.files.put(content), len(content))
    lost = MadeFile(Form("wav"), "0" * 64, 5)
    making.make_clip(database, resolution.clip(TEXTS[0], 1.0, lexicon=Lexicon({})), made)
    making.make_clip(database, resolution.clip(TEXTS[1], 1.0, lexicon=Lexicon({})), lost)
    job = planned(database, deploy(database, curriculum_id, JOE, VoiceConfig("joe", "piper", format="mp3")))
    wav, mp3 = voices(database, job)
    assert (job.items_total, job.items_succeeded) == (6, 1)
    # A file that was removed by hand is not there, and another form has to be derived.
    assert [item.state for item in making.read_items(database, wav)] == ["succeeded", "queued", "queued"]
    assert {item.state for item in making.read_items(database, mp3)} == {"queued"}
    result = making.read_items(database, wav)[0].result
    assert result is not None
    assert (result["cached"], result["file"], result["size_bytes"], result["duration_seconds"]) == (
        True,
        made.file,
        len(content),
        1.5,
    )


def test_one_of_which_everything_is_there_is_done_at_once_and_needs_nobody(
    database: Database, process: Process
) -> None:
    with database.transaction() as session:
        resolution = speech_voices.resolve(workers.engines(session), "joe", "piper")
    file = MadeFile(Form("wav"), process.files.put(b"sound"), 5)
    for text in TEXTS:
        making.make_clip(database, resolution.clip(text, 1.0, lexicon=Lexicon({})), file)
    nobody_speaks(database)
    job = planned(database, deploy(database, course(database)))
    assert (job.state, job.progress, job.items_succeeded) == ("succeeded", 1.0, 3)
    assert len(pins(database, job)) == 3


def test_a_segment_without_a_word_is_no_part_of_it(database: Database) -> None:
    job = planned(database, deploy(database, course(database, ["One.", "* * *", "—", "Zwei.", "三"])))
    (voice,) = voices(database, job)
    assert [clip.text for clip in clips(database, voice)] == ["One.", "Zwei.", "三"]
    assert [item.params["segment_index"] for item in making.read_items(database, voice)] == [0, 3, 0]


def test_the_courses_own_pronunciations_count(database: Database) -> None:
    curriculum_id = course(database)
    with database.transaction() as session:
        pronunciations.put(session, curriculum_id, {"Four": "for"})
    job = planned(database, deploy(database, curriculum_id))
    (voice,) = voices(database, job)
    assert [clip.options.get("lexicon") for clip in clips(database, voice)] == [None, None, {"Four": "for"}]


def test_while_nobody_can_speak_it_waits_says_for_whom_and_goes_on_later(database: Database) -> None:
    nobody_speaks(database)
    job = planned(database, deploy(database, course(database)))
    assert (job.state, job.error_code, job.phase) == (
        "queued",
        "provider_unavailable",
        "waiting for a worker with piper",
    )
    assert job.run_after > job.created_at
    assert pins(database, job) == set()
    nobody_speaks(database, draining=False)
    making.change(database, job, run_after=func.now())
    job = planned(database, job)
    assert (job.state, job.error_code, job.phase, job.attempts) == ("running", None, None, 0)


def test_it_waits_for_about_an_hour_and_then_fails(database: Database) -> None:
    nobody_speaks(database)
    job = deploy(database, course(database))
    waited = 0.0
    for _ in range(9):
        job = planned(database, job)
        assert job.state == "queued"
        waited += (job.run_after - job.updated_at).total_seconds()
        making.change(database, job, run_after=func.now())
    job = planned(database, job)
    assert (job.state, job.error_code) == ("failed", "provider_unavailable")
    assert 40 * 60 < waited < 80 * 60


def test_a_course_that_is_gone_when_it_is_due_fails_it_for_good(database: Database) -> None:
    curriculum_id = course(database)
    job = deploy(database, curriculum_id)
    with database.transaction() as session:
        session.execute(delete(curricula.Curriculum).where(curricula.Curriculum.id == curriculum_id))
    job = planned(database, job)
    assert (job.state, job.error_code) == ("failed", "curriculum_gone")
    assert curriculum_id in str(job.error_message)


def test_a_voice_that_left_the_catalogue_fails_it_naming_the_voice(database: Database) -> None:
    job = planned(database, deploy(database, course(database), VoiceConfig("nobody")))
    assert (job.state, job.error_code) == ("failed", "validation_error")
    assert "'nobody'" in str(job.error_message)


def test_one_that_does_not_fit_into_the_cache_fails_with_the_figures(
    database: Database, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = deploy(database, course(database, ["A sentence of some length. " * 10] * 2))
    _limit(process, monkeypatch, 100_000)
    job = planned(database, job)
    assert (job.state, job.error_code) == ("failed", "cache_too_small")
    assert "100000" in str(job.error_message)
    assert pins(database, job) == set()
    _limit(process, monkeypatch, 10_000_000)
    act(database, lifecycle.retry, job, able_workers=1)
    assert planned(database, job).state == "running"


def test_what_other_deployments_hold_or_will_hold_counts(
    database: Database, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["A sentence of some length. " * 10, "Another sentence of some length. " * 10, "One more."]
    curriculum_id = course(database, texts)
    first = planned(database, deploy(database, curriculum_id))
    missing = first.params["missing_bytes"]
    assert missing == pytest.approx(sum(map(len, texts)) / 14 * 44_100, rel=0.01)
    _limit(process, monkeypatch, round(missing * 1.5))
    # The same clips again take no room.
    again = planned(database, deploy(database, curriculum_id))
    assert (again.state, again.params["missing_bytes"]) == ("running", 0)
    other = planned(database, deploy(database, course(database, [text.upper() for text in texts])))
    assert (other.state, other.error_code) == ("failed", "cache_too_small")


def test_one_that_goes_on_with_an_unchanged_course_keeps_its_jobs(database: Database) -> None:
    job = planned(database, deploy(database, course(database), JOE, QUICK))
    before = [voice.id for voice in voices(database, job)]
    act(database, lifecycle.pause, job)
    act(database, lifecycle.resume, job, able_workers=1)
    job = planned(database, job)
    assert job.state == "running"
    assert [voice.id for voice in voices(database, job)] == before
    assert {voice.state for voice in voices(database, job)} == {"queued"}


@pytest.mark.parametrize("change", ["text", "lexicon", "title"])
def test_one_that_goes_on_is_planned_anew_when_its_course_has_changed(database: Database, change: str) -> None:
    curriculum_id = course(database)
    job = planned(database, deploy(database, curriculum_id))
    (before,) = voices(database, job)
    act(database, lifecycle.pause, job)
    with database.transaction() as session:
        if change == "text":
            topics = [NewTopic(title="Only", segments=[NewSegment("Quite new."), NewSegment("One.")])]
            curricula_changes.change(session, curriculum_id, fields={}, topics=topics)
        elif change == "lexicon":
            pronunciations.put(session, curriculum_id, {"Four": "for"})
        else:
            curricula_changes.change(session, curriculum_id, fields={"title": "Another"})
    act(database, lifecycle.resume, job, able_workers=1)
    job = planned(database, job)
    (after,) = voices(database, job)
    assert after.id != before.id
    assert job.items_total == (2 if change == "text" else 3)
    assert pins(database, job) == {clip.key for clip in clips(database, after)}


def test_one_that_was_cancelled_is_planned_anew_because_it_held_nothing_since(database: Database) -> None:
    job = planned(database, deploy(database, course(database)))
    (before,) = voices(database, job)
    making.finish(database, making.claim_items(database, before)[0], {"clip": "evicted since", "cached": False})
    act(database, lifecycle.cancel, job)
    assert pins(database, job) == set()
    act(database, lifecycle.retry, job, able_workers=1)
    job = planned(database, job)
    assert (job.state, job.items_total, job.items_succeeded) == ("running", 3, 0)
    assert len(pins(database, job)) == 3


def test_a_retry_of_one_with_errors_makes_what_failed(database: Database) -> None:
    job = planned(database, deploy(database, course(database), JOE, QUICK))
    first, second = voices(database, job)
    for item in making.claim_items(database, first, 2):
        making.fail(database, item)
    make_all(database, first)
    make_all(database, second)
    job = making.read(database, job)
    assert (job.state, job.items_failed, deployments.status(job)) == ("succeeded", 2, "completed_with_errors")
    act(database, lifecycle.retry, job, able_workers=1)
    job = planned(database, job)
    assert (job.state, job.items_succeeded, job.items_failed) == ("running", 4, 0)
    assert [voice.state for voice in voices(database, job)] == ["queued", "succeeded"]
    make_all(database, first)
    job = making.read(database, job)
    assert (job.state, deployments.status(job)) == ("succeeded", "completed")


def test_a_doubled_message_plans_nothing_twice(database: Database) -> None:
    job = planned(database, deploy(database, course(database)))
    (before,) = voices(database, job)
    run.run_slice(KIND, job.id)
    assert [voice.id for voice in voices(database, job)] == [before.id]


def test_a_cancel_while_it_is_planned_leaves_nothing_behind(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = deploy(database, course(database))
    whole = run._store_plan

    def cancelled_first(*arguments: Any) -> None:
        act(database, lifecycle.cancel, job)
        whole(*arguments)

    monkeypatch.setattr(run, "_store_plan", cancelled_first)
    job = planned(database, job)
    assert job.state == "cancelled"
    assert voices(database, job) == []
    assert pins(database, job) == set()


def test_a_removed_deployment_lets_go_of_its_clips(database: Database) -> None:
    job = planned(database, deploy(database, course(database)))
    (voice,) = voices(database, job)
    make_all(database, voice)
    act(database, lifecycle.delete, job)
    assert pins(database, job) == set()
    with database.transaction() as session:
        assert not speech_pins.holds(session, job.id)
        assert session.scalar(select(func.count()).select_from(JobItem)) == 0


def _limit(process: Process, monkeypatch: pytest.MonkeyPatch, size_bytes: int) -> None:
    changed: Settings = dataclasses.replace(process.settings, speech_cache_max_bytes=size_bytes)
    monkeypatch.setattr(process, "settings", changed)
