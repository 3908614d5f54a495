"""Drafts by the recogniser: real speech is heard, and what somebody else said of a task stays."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest
import soundfile
from sqlalchemy import select

from models.db import Database
from models.jobs.tables import Job, JobItem
from models.transcription import drafts, tasks
from models.transcription.tables import Task
from models.transcription.tasks import NewTask, Sound
from tasks import drafts as body
from tasks import run
from tasks.process import Process
from tests import transcribing
from workers.transcripts import recogniser


def planned(process: Process, database: Database, ids: list[int], **changed: Any) -> list[JobItem]:
    settings = dataclasses.replace(process.settings, **{"transcription_drafts": True} | changed)
    with database.transaction() as session:
        body.plan(session, settings, ids, account_id=None)
    with database.transaction() as session:
        return list(session.scalars(select(JobItem).order_by(JobItem.position)))


def do_all(database: Database) -> Job:
    with database.transaction() as session:
        job = session.scalars(select(Job).where(Job.kind == drafts.KIND)).one()
    for _ in range(10):
        run.run_slice(drafts.KIND, job.id)
    with database.transaction() as session:
        return session.get_one(Job, job.id)


def test_only_where_drafts_are_wanted_and_there_are_none(process: Process, database: Database) -> None:
    plain, german = transcribing.add(database, count=2)
    (drafted,) = transcribing.add(database, draft="there is one")
    (gold,) = transcribing.add(database, gold_text="what is right")
    everything = [plain, german, drafted, gold]
    assert planned(process, database, everything, transcription_drafts=False) == []
    assert [item.params["task_id"] for item in planned(process, database, everything)] == [plain, german]


def test_a_language_that_it_does_not_know_is_left_to_people(process: Process, database: Database) -> None:
    (german,) = transcribing.add(database, language="de-AT")
    planned(process, database, [german])
    assert do_all(database).state == "succeeded"
    with database.transaction() as session:
        assert session.get_one(Task, german).draft is None
        (item,) = session.scalars(select(JobItem))
        assert item.result == {"task_id": german, "draft": None, "reason": "The recogniser knows no 'de-AT'."}
    assert recogniser.understands("en_GB")
    assert not recogniser.understands("eng")


def test_where_there_is_no_recogniser_the_job_says_how_to_get_one(
    process: Process, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recogniser, "is_installed", lambda: False)
    planned(process, database, transcribing.add(database))
    do_all(database)
    with database.transaction() as session:
        (item,) = session.scalars(select(JobItem))
        assert (item.state, item.error_code) == ("failed", "no_recogniser")
        assert "make listen" in (item.error_message or "")


def test_real_speech_becomes_a_draft_and_what_somebody_wrote_meanwhile_stays(
    process: Process, database: Database
) -> None:
    pytest.importorskip("faster_whisper", reason="make listen installs the recogniser")
    from workers.device import Device
    from workers.tts import provider
    from workers.tts.speak import speak

    engine = provider.load("hibari", Device("cpu", 2))
    clip = speak(
        engine, "The train to London leaves at seven in the morning.", voice="heart", speed=1.0, report=lambda *_: None
    ).clip
    content = io.BytesIO()
    soundfile.write(content, clip.samples, clip.sample_rate_hz, format="WAV")
    sound = Sound(process.files.put(content.getvalue()), "audio/wav", clip.duration_seconds, [100])
    with database.transaction() as session:
        ids = tasks.add(session, [NewTask("a.wav", sound), NewTask("b.wav", sound)], account_id=None, double_percent=0)
    planned(process, database, ids)
    with database.transaction() as session:
        session.get_one(Task, ids[1]).draft = "somebody's"
    assert do_all(database).state == "succeeded"
    with database.transaction() as session:
        heard = session.get_one(Task, ids[0]).draft or ""
        assert "train to London" in heard
        assert session.get_one(Task, ids[1]).draft == "somebody's"
