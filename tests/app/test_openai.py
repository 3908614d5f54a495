"""OpenAI's speech API, asked by OpenAI's own client over a real web process."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest
from openai import OpenAI

from config.versions import AUDIO_FORMATS
from config.voices import catalogue
from models.db import Database
from tests.app.conftest import row_counts
from tests.app.test_live import BOOK, jobs
from tests.conftest import CLIENT_KEY, eventually
from tests.web import Web
from workers.audio import codec
from workers.audio.clip import Clip

SPEECH = "/v1/audio/speech"
MODELS = ["tts-1", "tts-1-hd", "gpt-4o-mini-tts"]


@pytest.fixture
def ai(web: Web, clean: None) -> Iterator[OpenAI]:
    """The official client, which does not try again."""
    with OpenAI(base_url=web.url("/v1"), api_key=CLIENT_KEY, max_retries=0, timeout=30) as client:
        yield client


def say(ai: OpenAI, text: str = "Hello there.", **fields: Any) -> bytes:
    """The speech, whole."""
    return ai.audio.speech.create(**{"model": "tts-1", "voice": "nova", "input": text} | fields).read()


def decoded(content: bytes, name: str) -> Clip:
    return (
        Clip(np.frombuffer(content, "<i2").astype(np.float32) / 32768, 24000)
        if name == "pcm"
        else codec.decode(content)
    )


# --- Speech ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_every_format_is_spoken_and_is_the_clip(
    ai: OpenAI, web: Web, worker: object, customer: dict[str, str], name: str
) -> None:
    answer = ai.audio.speech.create(model="tts-1", voice="nova", input="Hello there.", response_format=name)  # type: ignore[arg-type]
    content = answer.read()
    assert answer.response.headers["Content-Type"] == AUDIO_FORMATS[name].media_type
    stored = web.post("/api/tts", json={"text": "Hello there."}, headers=customer)
    assert stored.headers["X-TTS-Cache-Status"] == "hit"
    clip = decoded(content, name)
    assert clip.duration_seconds == pytest.approx(float(stored.headers["X-TTS-Duration-Seconds"]), abs=0.15)
    assert np.abs(clip.samples).max() > 0.05


def test_mp3_is_what_comes_when_no_format_is_named(ai: OpenAI, worker: object) -> None:
    answer = ai.audio.speech.create(model="tts-1", voice="nova", input="No format.")
    assert answer.response.headers["Content-Type"] == "audio/mpeg"
    # Its frames begin with eleven bits, or an ID3 tag goes before them.
    content = answer.read()
    assert content[:3] == b"ID3" or content[0] == 0xFF


def test_speed_is_heard(ai: OpenAI, worker: object) -> None:
    text = "This sentence is said slowly, and then quickly."
    slow, normal, fast = (
        decoded(say(ai, text, speed=speed, response_format="pcm"), "pcm") for speed in (0.5, 1.0, 2.0)
    )
    assert slow.duration_seconds > 1.6 * normal.duration_seconds
    assert normal.duration_seconds > 1.6 * fast.duration_seconds


def test_a_file_streams_in_while_it_is_made(ai: OpenAI, worker: object, database: Database) -> None:
    text = BOOK[:2000]
    with ai.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="nova", input=text, response_format="wav"
    ) as answer:
        pieces = answer.iter_bytes(4096)
        first = next(pieces)
        assert [job.state for job in jobs(database)] == ["running"]
        whole = first + b"".join(pieces)
    assert whole[:4] == b"RIFF"
    eventually(lambda: jobs(database)[0].state == "succeeded")
    again = ai.audio.speech.create(model="tts-1", voice="nova", input=text, response_format="wav")
    assert again.response.headers["X-TTS-Cache-Status"] == "hit"
    assert again.read()[44:] == whole[44:]


def events(ai: OpenAI, text: str, **fields: Any) -> list[dict[str, Any]]:
    """The server-sent events of a speech; each is named as its data is typed."""
    with ai.audio.speech.with_streaming_response.create(
        **{"model": "tts-1", "voice": "nova", "input": text, "stream_format": "sse"} | fields
    ) as answer:
        assert answer.headers["Content-Type"].partition(";")[0] == "text/event-stream"
        blocks = "".join(answer.iter_text()).split("\n\n")
    assert blocks.pop() == ""
    found = []
    for block in blocks:
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def test_events_hold_the_whole_file_and_say_when_it_is_done(ai: OpenAI, worker: object) -> None:
    text = "Events, one after the other. And another."
    for _ in ("made", "found"):
        *deltas, done = events(ai, text, response_format="wav")
        assert {event["type"] for event in deltas} == {"speech.audio.delta"}
        content = b"".join(base64.b64decode(event["audio"], validate=True) for event in deltas)
        assert decoded(content, "wav").duration_seconds > 1
        assert done["type"] == "speech.audio.done"
        assert done["usage"] == {"input_tokens": len(text), "output_tokens": 0, "total_tokens": len(text)}


def test_instructions_are_accepted_and_change_nothing(ai: OpenAI, worker: object, database: Database) -> None:
    assert say(ai, instructions="Whisper.", response_format="pcm") == say(ai, response_format="pcm")
    assert row_counts(database)["speech_clips"] == 1


def test_a_voice_may_be_an_object_with_its_id(ai: OpenAI, worker: object, database: Database) -> None:
    assert say(ai, voice={"id": "nova"}, response_format="pcm") == say(ai, response_format="pcm")
    assert row_counts(database)["speech_clips"] == 1


def test_what_we_do_not_know_is_passed_over(ai: OpenAI, worker: object) -> None:
    assert say(ai, extra_body={"pitch": 2, "temperature": None, "a": [{"b": 1}]})


def test_the_longest_input_is_spoken(ai: OpenAI, worker: object) -> None:
    answer = ai.audio.speech.create(model="tts-1", voice="nova", input="Hi." + " " * 4093)
    assert answer.read()


def test_a_model_of_ours_is_an_engine(ai: OpenAI, worker: object) -> None:
    answer = ai.audio.speech.create(model="voiceworks-hibari", voice="nova", input="Hello there.")
    assert answer.response.headers["X-TTS-Provider"] == "hibari"


# --- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "names", "param"),
    [
        ({"voice": "nobody"}, ("voice", "'nobody'", "nova"), "voice"),
        ({"voice": {"id": "nobody"}}, ("'nobody'", "nova"), "voice"),
        ({"voice": {"id": 5}}, ("5",), "voice"),
        ({"voice": ""}, ("''",), "voice"),
        ({"voice": None}, ("voice",), "voice"),
        ({"response_format": "exe"}, ("response_format", "'exe'", "mp3"), "response_format"),
        ({"speed": 9.0}, ("speed", "9", "0.25 to 4"), "speed"),
        ({"speed": "fast"}, ("speed", "'fast'"), "speed"),
        ({"input": "x" * 4097}, ("input", "4097", "4096"), "input"),
        ({"input": ""}, ("input", "''"), "input"),
        ({"input": "🙂"}, ("input", "🙂"), "input"),
        ({"input": "你好"}, ("text",), None),
        ({"stream_format": "tape"}, ("stream_format", "'tape'", "sse"), "stream_format"),
        ({"instructions": 5}, ("instructions", "5"), "instructions"),
    ],
)
def test_a_bad_request_is_an_error_of_openai_s_shape(
    ai: OpenAI, worker: object, fields: dict[str, Any], names: tuple[str, ...], param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        say(ai, **fields)
    assert refused.value.status_code == 400
    body: Any = refused.value.body
    assert set(body) == {"message", "type", "param", "code"}
    assert body["type"] == refused.value.type == "invalid_request_error"
    assert refused.value.param == param
    for name in names:
        assert name in body["message"]


def test_an_unknown_model_is_not_found(ai: OpenAI) -> None:
    for model in ("gpt-9", "hibari", "voiceworks-nothing", "voiceworks-"):
        with pytest.raises(openai.NotFoundError, match="does not exist") as refused:
            say(ai, model=model)
        assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def test_a_wrong_key_opens_nothing(web: Web, clean: None) -> None:
    with OpenAI(base_url=web.url("/v1"), api_key="sk-wrong", max_retries=0) as stranger:
        for ask in (lambda: say(stranger), stranger.models.list):
            with pytest.raises(openai.AuthenticationError) as refused:
                ask()
            assert refused.value.code == "invalid_api_key"
            assert refused.value.type == "authentication_error"


def test_without_a_worker_it_is_a_server_error_that_may_be_tried_again(ai: OpenAI, no_worker: None) -> None:
    with pytest.raises(openai.InternalServerError) as refused:
        say(ai, "Nobody can say this.")
    assert refused.value.status_code == 503
    assert refused.value.type == "server_error"
    assert int(refused.value.response.headers["Retry-After"]) > 0


# --- What there is ---------------------------------------------------------------------------------------------------


def test_models_are_listed_and_retrieved(ai: OpenAI) -> None:
    listed = list(ai.models.list())
    assert [model.id for model in listed] == [*MODELS, *(f"voiceworks-{engine}" for engine in catalogue().engines)]
    for model in listed:
        assert model.object == "model"
        assert ai.models.retrieve(model.id) == model
    with pytest.raises(openai.NotFoundError):
        ai.models.retrieve("gpt-9")


def test_the_voices_of_openai_are_there(web: Web, clean: None, customer: dict[str, str]) -> None:
    named = {voice["id"] for voice in web.get("/v1/audio/voices", headers=customer).json()["voices"]}
    theirs = {"alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse"}
    assert theirs <= named
