"""``/api/test/ws/{model_id}``: a microphone is listened to, in both dialects, beside others, whatever it sends."""

from __future__ import annotations

import base64
import io
import json
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import soundfile
import websocket
from sqlalchemy import select

pytest.importorskip("hibari")

from config.settings import Settings
from models import accounts, wake_models
from models.db import Database
from models.files import FileStore
from models.wake_captures import WakeCapture
from models.wake_models import WakeModel
from tests.alexa import RATE, STORY, detector_of_alexa, file_of, keep_model, pcm, spoken
from tests.conftest import PASSWORD
from tests.microphone import KEY, Microphone, Open, fired
from tests.web import Web
from workers.wakeword.detector import Detector, open_scorer

WORD = spoken((1.0, "Alexa."), seconds=3)


# --- What is heard ---------------------------------------------------------------------------------------------------


def test_the_documented_message_is_answered_by_the_documented_one(listen: Open) -> None:
    with listen() as microphone:
        for start in range(0, len(WORD), 4000):
            microphone.audio(pcm(WORD[start : start + 4000]), sample_rate=RATE)
        told = microphone.until_heard(2.5)
    assert {"type", "detected", "confidence", "threshold", "timestamp"} <= set(told[0])
    assert fired(told) == pytest.approx([1.5], abs=0.2)
    (hit,) = [message for message in told if message["detected"]]
    assert hit["confidence"] >= hit["threshold"] == 0.5
    assert (hit["model_id"], hit["timestamp"][-1]) == ("alexa@1", "Z")


def test_quiet_is_answered_twice_a_second_too(listen: Open) -> None:
    with listen() as microphone:
        microphone.speak(np.zeros(RATE * 6, np.float32))
        told = microphone.until_heard(5.5)
    assert fired(told) == []
    times = [0.0] + [message["time_seconds"] for message in told]
    assert max(np.diff(times)) <= 0.5
    assert all(message["confidence"] < 0.1 for message in told)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 192_000])
def test_bare_samples_are_heard_at_any_rate(listen: Open, rate: int) -> None:
    samples = spoken((1.0, "Alexa."), seconds=3, rate=rate)
    with listen(f"?sample_rate={rate}") as microphone:
        microphone.speak(samples, rate // 12)
        assert fired(microphone.until_heard(2.5)) == pytest.approx([1.5], abs=0.2)


def test_the_rate_may_change_from_message_to_message(listen: Open) -> None:
    with listen("?sample_rate=44100") as microphone:
        microphone.audio(pcm(spoken((1.0, "Alexa."), seconds=3, rate=48_000)), sample_rate=48_000)
        microphone.audio(pcm(spoken((1.0, "Alexa."), seconds=3, rate=22_050)), sample_rate=22_050)
        # Without one, and in binary, it is that of the address.
        microphone.audio(pcm(spoken((1.0, "Alexa."), seconds=3, rate=44_100)))
        microphone.speak(spoken((1.0, "Alexa."), seconds=3, rate=44_100), 10_000)
        assert fired(microphone.until_heard(11.5)) == pytest.approx([1.5, 4.5, 7.5, 10.5], abs=0.25)


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_whole_wav_file_is_heard_at_its_own_rate(listen: Open, subtype: str, channels: int) -> None:
    samples = spoken((1.0, "Alexa."), seconds=2.5, rate=22_050)
    content = file_of(np.stack([samples] * channels, axis=1), 22_050, subtype=subtype)
    with listen() as microphone:
        microphone.audio(content, sample_rate=RATE)
        assert fired(microphone.until_heard(2.0)) == pytest.approx([1.5], abs=0.2)


@pytest.mark.parametrize(
    ("query", "options", "times"),
    [
        ("", {}, 2),
        ("?refractory_ms=5000", {"refractory_seconds": 5.0}, 1),
        ("?refractory_ms=100", {"refractory_seconds": 0.1}, None),
        ("?threshold=1", {"threshold": 1.0}, 0),
        ("?smoothing=30", {"smoothing_windows": 30}, None),
    ],
)
def test_what_is_asked_for_in_the_address_counts(
    listen: Open, query: str, options: dict[str, Any], times: int | None
) -> None:
    twice = spoken((1.0, "Alexa."), (4.0, "Alexa."), seconds=6)
    with listen(query) as microphone:
        microphone.speak(twice)
        told = microphone.until_heard(5.5)
    assert told[0]["threshold"] == options.get("threshold", 0.5)
    detector = Detector(open_scorer(detector_of_alexa()), **options)
    expected = [score.time_seconds for score in detector.feed(twice) if score.detected]
    assert fired(told) == pytest.approx([each for each in expected if each < told[-1]["time_seconds"] + 0.01], abs=0.01)
    assert times in (None, len(expected))


def test_each_socket_hears_for_itself(listen: Open) -> None:
    with listen() as one, listen() as other:
        half = len(WORD) // 2
        one.speak(WORD[:half])
        other.speak(spoken(seconds=3))
        one.speak(WORD[half:])
        assert len(fired(one.until_heard(2.5))) == 1
        assert fired(other.until_heard(2.5)) == []


def test_a_ping_is_answered(listen: Open) -> None:
    with listen() as microphone:
        microphone.say(type="ping")
        assert microphone.next() == {"type": "pong"}


# --- What is refused -------------------------------------------------------------------------------------------------

BAD = {
    "no JSON": ("{not json", "not valid JSON"),
    "no object": ("[1, 2]", "object with a type"),
    "no type": ('{"data": ""}', "object with a type"),
    "unknown type": ('{"type": "sing"}', "'sing'"),
    "deep": ("[" * 60_000, "not valid JSON"),
    "no data": ('{"type": "audio"}', "data: None"),
    "data that is no text": ('{"type": "audio", "data": [1]}', "data: [1]"),
    "no base64": ('{"type": "audio", "data": "a*b="}', "not valid base64"),
    "half a base64": ('{"type": "audio", "data": "abc"}', "not valid base64"),
    "not ASCII": ('{"type": "audio", "data": "é"}', "not valid base64"),
    "odd": ('{"type": "audio", "data": "AAAA"}', "3 bytes"),
    "rate 0": ('{"type": "audio", "data": "AAA=", "sample_rate": 0}', "sample_rate: 0"),
    "rate too high": ('{"type": "audio", "data": "AAA=", "sample_rate": 192001}', "sample_rate: 192001"),
    "endless rate": ('{"type": "audio", "data": "AAA=", "sample_rate": 1' + "0" * 4000 + "}", "sample_rate: 1000"),
    "rate as text": ('{"type": "audio", "data": "AAA=", "sample_rate": "16000"}', "sample_rate: '16000'"),
    "rate true": ('{"type": "audio", "data": "AAA=", "sample_rate": true}', "sample_rate: True"),
    "WAV of nothing": (json.dumps({"type": "audio", "data": base64.b64encode(b"RIFF").decode()}), "WAV"),
    "WAV of 24 bits": (
        json.dumps({"type": "audio", "data": base64.b64encode(file_of(WORD[:99], subtype="PCM_24")).decode()}),
        "24 bits",
    ),
    "WAV at 2 kHz": (
        json.dumps({"type": "audio", "data": base64.b64encode(file_of(WORD[:99], 2_000)).decode()}),
        "sample_rate: 2000",
    ),
    "unknown capture": ('{"type": "capture", "kind": "mine"}', "'mine' is not one of false_alarm, miss"),
    "capture of nothing": ('{"type": "capture", "kind": "miss"}', "0.00 s of sound"),
    "NUL": ('{"type": "capture", "kind": "\\u0000"}', "NUL"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_sound_is_an_error_and_the_socket_stays(listen: Open, name: str) -> None:
    said, told = BAD[name]
    with listen() as microphone:
        microphone.connection.send(said)
        answer = microphone.next()
        assert (answer["type"], answer["error"]) == ("error", "validation_error")
        assert set(answer) == {"type", "error", "message", "details"}
        assert told in answer["message"]
        microphone.speak(WORD)
        assert len(fired(microphone.until_heard(2.5))) == 1


def test_an_odd_frame_in_the_middle_of_the_word_changes_nothing(listen: Open) -> None:
    with listen() as microphone:
        half = len(WORD) // 2
        microphone.speak(WORD[:half])
        microphone.connection.send_binary(b"\1\2\3")
        microphone.speak(WORD[half:])
        told = []
        while not told or told[-1].get("time_seconds", 0) < 2.5:
            told.append(microphone.next())
    (error,) = [message for message in told if message["type"] == "error"]
    assert "3 bytes" in error["message"]
    assert len(fired([message for message in told if message["type"] == "detection"])) == 1


@pytest.mark.parametrize("model_id", ["jarvis", "alexa@2", "alexa@x", "x" * 500, "..", "é"])
def test_an_unknown_model_is_closed_with_4404(web: Web, model: WakeModel, model_id: str) -> None:
    assert web.close_code(f"/api/test/ws/{quote(model_id)}", header=KEY) == 4404


def test_a_path_that_is_none_is_a_404_before_it_is_a_socket(web: Web, model: WakeModel) -> None:
    for path in ("a%00b", "..%2Falexa", ""):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            web.close_code(f"/api/test/ws/{path}", header=KEY)
        assert refused.value.status_code == 404


@pytest.mark.parametrize(
    "query", ["threshold=2", "threshold=nan", "refractory_ms=-1", "smoothing=0", "sample_rate=100", "sample_rate=a"]
)
def test_an_address_that_makes_no_sense_is_closed_with_1008(web: Web, model: WakeModel, query: str) -> None:
    with web.socket(f"/api/test/ws/alexa?{query}", header=KEY) as opened:
        opcode, said = opened.connection.recv_data()
    assert (opcode, int.from_bytes(said[:2], "big")) == (websocket.ABNF.OPCODE_CLOSE, 1008)
    assert query.partition("=")[0] in said[2:].decode()


def test_who_may_not_listen_is_told_by_a_code(web: Web, model: WakeModel, database: Database) -> None:
    assert web.close_code("/api/test/ws/alexa") == 4401
    assert web.close_code("/api/test/ws/alexa?ticket=none") == 4401
    with database.transaction() as session:
        agent = accounts.create(session, username="agent", password=PASSWORD, role="agent")
        accounts.store_key(session, agent, name="agent", role="agent", secret="an agent's key")
    assert web.close_code("/api/test/ws/alexa", header=["X-API-Key: an agent's key"]) == 4403


def test_a_browser_listens_with_a_ticket(web: Web, model: WakeModel, customer: dict[str, str]) -> None:
    ticket = web.post("/api/auth/ws-ticket", headers=customer).json()["ticket"]
    with web.socket(f"/api/test/ws/alexa?ticket={ticket}&sample_rate=16000") as opened:
        microphone = Microphone(opened.connection)
        microphone.speak(WORD)
        assert len(fired(microphone.until_heard(2.5))) == 1


def test_a_detector_that_is_none_is_closed(
    web: Web, model: WakeModel, database: Database, configured: Settings
) -> None:
    keep_model(database, configured.var_dir, wake_word="broken", detector=b"PK no detector at all")
    assert web.close_code("/api/test/ws/broken", header=KEY) == 4404


def test_a_socket_outlives_its_key_by_seconds_only(
    web: Web, model: WakeModel, listen: Open, database: Database, admin: dict[str, str]
) -> None:
    with database.transaction() as session:
        account = accounts.find(session, "client")
        assert account is not None
        accounts.store_key(session, account, name="brief", role="client", secret="a key for a moment")
    with web.socket("/api/test/ws/alexa", header=["X-API-Key: a key for a moment"]) as opened:
        microphone = Microphone(opened.connection)
        microphone.speak(WORD)
        microphone.until_heard(2.5)
        with database.transaction() as session:
            found = accounts.find(session, "client")
            assert found is not None
            found.disabled = True
        assert microphone.closed() == 4401


# --- What becomes of the model ---------------------------------------------------------------------------------------


def test_a_socket_goes_on_with_what_it_opened(
    listen: Open, database: Database, configured: Settings, model: WakeModel
) -> None:
    with listen() as microphone:
        microphone.speak(WORD)
        assert len(fired(microphone.until_heard(2.5))) == 1
        keep_model(database, configured.var_dir, threshold=1.0)
        microphone.speak(WORD)
        assert len(fired(microphone.until_heard(5.5))) == 1
        with database.transaction() as session:
            wake_models.remove(session, "alexa")
        FileStore(configured.var_dir / "files").remove([model.files["detector"]["file"]])
        microphone.speak(WORD)
        told = microphone.until_heard(8.5)
        assert (len(fired(told)), told[-1]["model_id"]) == (1, "alexa@1")


# --- Captures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["false_alarm", "miss"])
def test_the_last_seconds_are_kept_for_the_next_training(
    listen: Open, database: Database, configured: Settings, kind: str
) -> None:
    sound = spoken((1.0, STORY), (6.0, "Alexa."), seconds=8, rate=48_000)
    with listen("?sample_rate=48000") as microphone:
        microphone.speak(sound, 4800)
        microphone.until_heard(7.5)
        microphone.say(type="capture", kind=kind)
        told = microphone.next()
        while told["type"] == "detection":
            told = microphone.next()
    assert (told["type"], told["kind"], told["duration_seconds"]) == ("captured", kind, 3.0)
    with database.transaction() as session:
        (row,) = session.scalars(select(WakeCapture))
        client = accounts.find(session, "client")
    assert (row.id, row.slug, row.kind, row.duration_seconds) == (told["capture_id"], "alexa", kind, 3.0)
    assert client is not None
    assert row.account_id == client.id
    content = FileStore(configured.var_dir / "files").path(row.file).read_bytes()
    assert row.size_bytes == len(content)
    samples, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    assert rate == 48_000
    np.testing.assert_array_equal(samples, np.frombuffer(pcm(sound), "<i2")[-3 * 48_000 :])
    # The word is in it.
    assert len(Detector(open_scorer(detector_of_alexa())).scan(samples.astype(np.float32) / 32768, 48_000)) == 1


def test_of_a_word_without_a_model_nothing_is_kept(listen: Open, database: Database) -> None:
    with listen() as microphone:
        microphone.speak(WORD)
        microphone.until_heard(2.5)
        with database.transaction() as session:
            wake_models.remove(session, "alexa")
        microphone.say(type="capture", kind="miss")
        told = microphone.next()
        assert (told["type"], told["error"]) == ("error", "not_found")
        with database.transaction() as session:
            assert session.scalars(select(WakeCapture)).all() == []
