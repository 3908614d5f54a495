"""A disk that takes no more: whoever asks is told to come back, and nothing is stored by halves."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import func, select

from models.db import Database
from models.jobs import work
from models.jobs.tables import Job
from models.transcription import batches
from models.wake_trainings import LANE
from tests import making, transcribing, waking
from tests.conftest import eventually


def assert_told_to_come_back(answer: Any, what: str) -> None:
    """Fails unless it is a 503 that says so and when."""
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert what in answer.text


@contextmanager
def refusing_writes(client: redis.Redis) -> Iterator[None]:
    """Redis has no room for another key."""
    client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        client.config_set("maxmemory", 0)


def test_what_is_sent_while_the_disk_is_full_is_refused_for_now_and_starts_nothing(
    client: FlaskClient, customer: dict[str, str], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    making.register(database, "train@full", LANE)

    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fsync)
        answer = client.post(
            "/api/train/start", data=waking.form(), headers=customer, content_type="multipart/form-data"
        )
    assert_told_to_come_back(answer, "The disk is full")
    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0
    store = client.application.extensions["voiceworks"].files
    assert not list((store.root / "unfinished").iterdir())


def test_sound_that_a_worker_finds_no_room_for_is_refused_for_now(
    client: FlaskClient, admin: dict[str, str], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where no worker of another test looks.
    monkeypatch.setattr(batches, "LANE", "nowhere")

    def newest() -> Job | None:
        with database.transaction() as session:
            return session.scalar(select(Job).where(Job.lane == "nowhere"))

    def find_no_room() -> None:
        job = eventually(newest)
        assert job is not None
        held = making.claim(database, job)
        with database.transaction() as session:
            work.fail(session, held, code="disk_full", message="The disk is full.")

    form = {"file": [(io.BytesIO(transcribing.tone(1.0)), "one.wav")]}
    with ThreadPoolExecutor(1) as pool:
        failing = pool.submit(find_no_room)
        answer = client.post("/api/transcription/import", data=form, headers=admin, content_type="multipart/form-data")
        failing.result(10)
    assert_told_to_come_back(answer, "The disk is full.")


def test_another_fault_of_the_disk_is_an_error_that_somebody_must_look_at(
    client: FlaskClient, customer: dict[str, str], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    making.register(database, "train@broken", LANE)

    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    answer = client.post("/api/train/start", data=waking.form(), headers=customer, content_type="multipart/form-data")
    assert answer.status_code == 500
    assert "Input/output" not in answer.text


def test_while_redis_cannot_write_whoever_needs_it_is_told_to_come_back(
    client: FlaskClient, customer: dict[str, str], queue: redis.Redis
) -> None:
    with refusing_writes(queue):
        answer = client.post("/api/auth/ws-ticket", headers=customer)
    assert_told_to_come_back(answer, "queue")
    assert client.post("/api/auth/ws-ticket", headers=customer).status_code == 200
