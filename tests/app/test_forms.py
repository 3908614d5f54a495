"""The form of an answer: rate, channels, loudness and seed are in the file as they were asked for, each form apart."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import soundfile
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from models.db import Database
from models.speech_clips import SpeechClip
from tests import making
from tests.app.conftest import row_counts
from tests.app.test_live import jobs
from workers.audio import codec, loudness

TEXT = "Hello there, whoever listens. It is a quiet morning."


class Booth:
    """Somebody who has one text spoken in many forms."""

    def __init__(self, http: FlaskClient, headers: dict[str, str]) -> None:
        self.http = http
        self.headers = headers

    def speak(self, text: str = TEXT, **fields: Any) -> TestResponse:
        """The spoken text."""
        answer = self.http.post("/api/tts", json={"text": text} | fields, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer

    def fetch(self, path: str) -> TestResponse:
        """What a location names."""
        return self.http.get(path, headers=self.headers)


@pytest.fixture
def booth(client: FlaskClient, worker: object, customer: dict[str, str]) -> Booth:
    """A client's booth."""
    return Booth(client, customer)


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "opus", "aac"])
@pytest.mark.parametrize("rate", [8000, 48000])
def test_a_file_has_the_rate_that_was_asked_for(booth: Booth, name: str, rate: int) -> None:
    answer = booth.speak("A rate.", format=name, sample_rate=rate)
    clip = codec.decode(answer.data)
    assert clip.sample_rate_hz == rate == int(answer.headers["X-TTS-Sample-Rate"])
    seconds = float(answer.headers["X-TTS-Duration-Seconds"])
    # AAC fills its last frame up.
    assert -0.002 <= clip.duration_seconds - seconds <= (2 * 1024 / rate if name == "aac" else 0.002)


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "opus"])
def test_two_channels_hold_the_same(booth: Booth, name: str) -> None:
    samples, _ = soundfile.read(io.BytesIO(booth.speak("Two channels.", format=name, channels=2).data), always_2d=True)
    assert samples.shape[1] == 2
    # Opus codes both together, nearly alike.
    assert np.abs(samples[:, 0] - samples[:, 1]).max() < (0.02 if name == "opus" else 1e-6)
    mono, _ = soundfile.read(io.BytesIO(booth.speak("Two channels.", format=name).data), always_2d=True)
    assert mono.shape == (len(samples), 1)


@pytest.mark.parametrize("wanted", [-30.0, -16.0])
def test_a_file_is_as_loud_as_was_asked_for(booth: Booth, wanted: float) -> None:
    answer = booth.speak(loudness_lufs=wanted)
    measured = loudness.measure(codec.decode(answer.data))
    assert measured == pytest.approx(wanted, abs=0.5)
    assert loudness.measure(codec.decode(booth.speak().data)) != pytest.approx(wanted, abs=0.5)


def test_a_loudness_between_is_found_again_where_its_location_says(booth: Booth, database: Database) -> None:
    first = booth.speak("Between.", loudness_lufs=-17.123456789)
    again = booth.speak("Between.", loudness_lufs=-17.12)
    assert again.headers["X-TTS-Cache-Status"] == "hit"
    found = booth.fetch(first.headers["Content-Location"])
    assert (found.status_code, found.data) == (200, first.data)
    # The clip and one quieter form of it.
    assert row_counts(database)["speech_renditions"] == 2


def test_equal_seeds_are_equal_sound_and_another_seed_is_another(booth: Booth, admin: dict[str, str]) -> None:
    one, other = booth.speak("A seed.", seed=1), booth.speak("A seed.", seed=2)
    assert one.data != other.data
    assert booth.speak("A seed.", seed=1).headers["X-TTS-Cache-Status"] == "hit"
    assert booth.http.delete("/api/tts/cache", headers=admin).status_code == 200
    again = booth.speak("A seed.", seed=1)
    assert (again.headers["X-TTS-Cache-Status"], again.data) == ("miss", one.data)


def test_every_form_is_made_from_one_clip_and_found_again(booth: Booth, database: Database) -> None:
    forms: list[dict[str, Any]] = [
        {},
        {"sample_rate": 16000},
        {"channels": 2},
        {"loudness_lufs": -20},
        {"sample_rate": 16000, "channels": 2, "loudness_lufs": -20},
        {"format": "mp3"},
        {"format": "mp3", "sample_rate": 16000},
    ]
    made = [booth.speak("Many forms.", **form) for form in forms]
    assert len({answer.data for answer in made}) == len(forms)
    assert len({answer.headers["Content-Location"] for answer in made}) == len(forms)
    assert row_counts(database)["speech_clips"] == 1
    spoken = len(jobs(database))
    for form, answer in zip(forms, made, strict=True):
        again = booth.speak("Many forms.", **form)
        assert (again.headers["X-TTS-Cache-Status"], again.data) == ("hit", answer.data)
        assert booth.fetch(answer.headers["Content-Location"]).data == answer.data
    assert len(jobs(database)) == spoken


def test_a_stored_clip_is_fetched_in_a_form_that_nobody_had_asked_for(booth: Booth, database: Database) -> None:
    path = booth.speak("Fetched.").headers["Content-Location"].partition(".")[0]
    answer = booth.fetch(f"{path}.mp3?sample_rate=16000&channels=2")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "audio/mpeg")
    assert codec.decode(answer.data).sample_rate_hz == 16000
    part = booth.http.get(f"{path}.opus", headers=booth.headers | {"Range": "bytes=0-3"})
    assert (part.status_code, part.data) == (206, b"OggS")
    assert row_counts(database)["speech_clips"] == 1
    assert sum(not job.result["cached"] for job in jobs(database) if job.result) == 1


def test_a_rate_that_a_format_has_not_is_refused_by_name(booth: Booth) -> None:
    path = booth.speak("Fetched.").headers["Content-Location"].partition(".")[0]
    for answer in (
        booth.http.post(
            "/api/tts", json={"text": "Hi.", "format": "opus", "sample_rate": 22050}, headers=booth.headers
        ),
        booth.fetch(f"{path}.opus?sample_rate=22050"),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (400, "VALIDATION_ERROR")
        assert "22050" in answer.get_json()["error"]
        assert "24000" in answer.get_json()["error"]


def test_emptying_the_cache_leaves_what_is_pinned(booth: Booth, database: Database, admin: dict[str, str]) -> None:
    pinned = booth.speak("Pinned.", sample_rate=16000)
    booth.speak("Not pinned.")
    with database.transaction() as session:
        (key,) = session.scalars(select(SpeechClip.key).where(SpeechClip.spec["text"].astext == "Pinned."))
    making.pin(database, key)
    emptied = booth.http.delete("/api/tts/cache", headers=admin).get_json()
    assert emptied["removed_entries"] == 1
    assert emptied["freed_bytes"] > 0
    assert booth.fetch(pinned.headers["Content-Location"]).data == pinned.data
    assert booth.speak("Pinned.").headers["X-TTS-Cache-Status"] == "hit"
    assert booth.speak("Not pinned.").headers["X-TTS-Cache-Status"] == "miss"


def test_only_an_administrator_empties_the_cache(booth: Booth) -> None:
    assert booth.http.delete("/api/tts/cache", headers=booth.headers).status_code == 403
