"""``/ws/audio``: a session is played by a scripted client, in both modes, through every turn a listener takes."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import requests
import soundfile
import websocket
from sqlalchemy import select

from config.settings import Settings
from models.db import Database
from models.jobs.tables import Job, JobItem
from tasks.celery_app import app as celery_app
from tests.conftest import CLIENT_KEY, NODE, eventually
from tests.web import Web, serving

SENTENCES = [f"This is sentence number {number} of a little course." for number in range(9)]
LONG = " ".join(f"Sentence {number} of a long segment follows the one before it." for number in range(8))
KEY = {"X-API-Key": CLIENT_KEY}
Message = dict[str, Any]


class Player:
    """A client of ``/ws/audio``."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self._connection = connection

    def say(self, kind: str, **fields: Any) -> None:
        self._connection.send(json.dumps({"type": kind} | fields))

    def next(self) -> Message | bytes:
        opcode, said = self._connection.recv_data()
        if opcode == websocket.ABNF.OPCODE_BINARY:
            return bytes(said)
        assert opcode == websocket.ABNF.OPCODE_TEXT, (opcode, said)
        message: Message = json.loads(said)
        return message

    def expect(self, kind: str) -> Message:
        message = self.next()
        assert isinstance(message, dict), f"{len(message)} bytes where {kind} was expected"
        assert message["type"] == kind, message
        return message

    def frames(self) -> tuple[Message, bytes, Message]:
        """A segment: its beginning, its bytes, its end."""
        start, content = self.expect("audio_start"), b""
        while isinstance(piece := self.next(), bytes):
            assert 0 < len(piece) <= 32 * 1024
            content += piece
        assert piece["type"] == "audio_end", piece
        assert (piece["segment_index"], piece["sequence"]) == (start["segment_index"], start["sequence"])
        return start, content, piece

    def closed(self) -> int:
        opcode, said = self._connection.recv_data()
        assert opcode == websocket.ABNF.OPCODE_CLOSE, said
        return int.from_bytes(said[:2], "big")


Open = Callable[..., AbstractContextManager[Player]]


@pytest.fixture
def course(web: Web, clean: None, worker: object) -> str:
    """A course of one topic ``a`` of nine segments, and one ``b`` of a long one."""
    content = [
        {"id": "a", "title": "A", "segments": SENTENCES},
        {"id": "b", "title": "B", "segments": [LONG, "..."]},
    ]
    answer = web.post("/api/curriculum", json={"title": "C", "content": content}, headers=KEY)
    return str(answer.json()["id"])


@pytest.fixture
def session_id(web: Web, course: str) -> str:
    """A session in topic ``a``."""
    body = {"user_id": "user_1", "curriculum_id": course, "topic_id": "a"}
    return str(web.post("/api/sessions", json=body, headers=KEY).json()["id"])


@pytest.fixture
def play(web: Web, session_id: str) -> Open:
    """Opens a player of the session."""

    @contextmanager
    def opened(query: str = "", session: str = session_id) -> Iterator[Player]:
        with web.socket(f"/ws/audio?session_id={session}{query}", header=[f"X-API-Key: {CLIENT_KEY}"]) as found:
            found.connection.settimeout(30)
            yield Player(found.connection)

    return opened


@pytest.fixture
def no_background(worker: object) -> Iterator[None]:
    """The worker takes nothing that is made ahead."""
    told: Any = {"arguments": {"queue": "tts.background.neural"}, "destination": [NODE], "reply": True, "timeout": 5.0}
    assert celery_app.control.broadcast("cancel_consumer", **told)
    yield
    assert celery_app.control.broadcast("add_consumer", **told)


def change(web: Web, method: str, path: str, body: Any = None) -> int:
    return requests.request(method, web.url(path), json=body, headers=KEY, timeout=30).status_code


def seconds_of(content: bytes) -> float:
    samples, rate = soundfile.read(io.BytesIO(content))
    return len(samples) / rate


def prefetched(database: Database) -> dict[int, str]:
    """The state of each segment that was ordered ahead."""
    query = select(JobItem.params, Job.state).join(Job, Job.id == JobItem.job_id).where(Job.kind == "speech.prefetch")
    with database.transaction() as session:
        return {params["segment_index"]: state for params, state in session.execute(query)}


def test_a_segment_comes_whole_in_json(play: Open) -> None:
    with play() as player:
        for cache_hit in (False, True):
            player.say("request_audio", segment_index=0)
            audio = player.expect("audio")
            promised = {"type", "segment_index", "audio_base64", "duration_seconds", "cache_hit", "total_segments"}
            assert promised <= set(audio)
            assert (audio["segment_index"], audio["cache_hit"], audio["total_segments"]) == (0, cache_hit, 9)
            assert seconds_of(base64.b64decode(audio["audio_base64"])) == pytest.approx(
                audio["duration_seconds"], abs=0.002
            )


@pytest.mark.parametrize("query", ["", "&format=wav", "&format=mp3", "&format=opus", "&format=flac", "&format=aac"])
def test_a_segment_comes_in_frames_that_are_one_file(play: Open, query: str) -> None:
    with play(f"&binary=1{query}") as player:
        player.say("request_audio", segment_index=1)
        start, content, end = player.frames()
        assert set(start) == {"type", "segment_index", "sequence", "format", "sample_rate", "cache_hit"}
        assert (start["format"], start["sequence"]) == (query.partition("=")[2] or "wav", 1)
        assert set(end) == {"type", "segment_index", "sequence", "bytes", "duration_seconds", "total_segments"}
        assert end["bytes"] == len(content)
        if start["format"] != "aac":
            assert seconds_of(content) == pytest.approx(end["duration_seconds"], abs=0.002)


def test_raw_samples_last_as_long_as_is_said(play: Open) -> None:
    with play("&binary=1&format=pcm") as player:
        player.say("request_audio", segment_index=1)
        start, content, end = player.frames()
        assert len(content) / 2 / start["sample_rate"] == pytest.approx(end["duration_seconds"], abs=0.002)


def test_frames_are_sent_while_the_segment_is_made(play: Open, course: str, database: Database) -> None:
    with play("&binary=1") as player:
        player.say("set_topic", curriculum_id=course, topic_id="b")
        assert player.expect("topic_set") == {
            "type": "topic_set",
            "curriculum_id": course,
            "topic_id": "b",
            "total_segments": 2,
        }
        player.say("request_audio", segment_index=0)
        player.expect("audio_start")
        assert isinstance(player.next(), bytes)
        with database.transaction() as session:
            assert session.scalars(select(Job.state).where(Job.kind == "speech.speak")).one() == "running"


def test_a_dropped_line_is_resumed_at_its_byte_and_the_parts_are_one_file(play: Open, course: str) -> None:
    with play("&binary=1") as player:
        player.say("set_topic", curriculum_id=course, topic_id="b")
        player.expect("topic_set")
        player.say("request_audio", segment_index=0)
        player.expect("audio_start")
        head = b"".join(piece for piece in (player.next(), player.next()) if isinstance(piece, bytes))
    with play("&binary=1") as player:
        # The topic is the session's: it outlives the line.
        player.say("request_audio", segment_index=0, from_byte=len(head))
        _, rest, end = player.frames()
        assert end["bytes"] == len(head) + len(rest)

        def from_cache() -> tuple[bytes, Message] | None:
            player.say("request_audio", segment_index=0)
            start, content, ended = player.frames()
            return (content, ended) if start["cache_hit"] else None

        # The last byte is heard before the file is stored.
        whole, again = eventually(from_cache)
        assert again["bytes"] == end["bytes"]
        # But for the sizes in the header, which nobody knew when the first part was sent.
        assert (head + rest)[44:] == whole[44:]
        assert seconds_of(head + rest) == pytest.approx(again["duration_seconds"], abs=0.002)
        player.say("request_audio", segment_index=0, from_byte=len(whole))
        assert player.frames()[1:] == (b"", again | {"sequence": again["sequence"] + 1})


@pytest.mark.parametrize("format_name", ["wav", "mp3"])
def test_beyond_the_last_byte_nothing_is_resumed(play: Open, format_name: str) -> None:
    with play(f"&binary=1&format={format_name}") as player:
        # Whether it is made first or there already.
        for _ in range(2):
            player.say("request_audio", segment_index=0, from_byte=10_000_000)
            refused = player.expect("error")
            assert (refused["segment_index"], refused["code"]) == (0, "VALIDATION_ERROR")
            assert "from_byte: 10000000 is beyond" in refused["error"]
        player.say("request_audio", segment_index=0)
        _, content, end = player.frames()
        assert end["bytes"] == len(content)
        assert f"the {len(content)} bytes" in refused["error"]


@pytest.mark.parametrize("query", ["", "&binary=1"])
def test_the_segments_of_a_topic_last_as_long_as_their_sum(play: Open, query: str) -> None:
    said = heard = 0.0
    with play(query) as player:
        for index in range(len(SENTENCES)):
            player.say("request_audio", segment_index=index)
            if query:
                _, content, end = player.frames()
            else:
                end = player.expect("audio")
                content = base64.b64decode(end["audio_base64"])
            said += end["duration_seconds"]
            heard += seconds_of(content)
    assert heard == pytest.approx(said, abs=0.05)


def test_the_next_five_segments_are_made_ahead(play: Open, database: Database) -> None:
    with play() as player:
        player.say("request_audio", segment_index=0)
        player.expect("audio")
        eventually(lambda: prefetched(database) == dict.fromkeys(range(1, 6), "succeeded"), within_seconds=20)
        player.say("request_audio", segment_index=1)
        assert player.expect("audio")["cache_hit"]
        eventually(lambda: set(prefetched(database)) == set(range(1, 7)))
        # Where what is ahead is there, nothing is ordered.
        player.say("request_audio", segment_index=0)
        player.expect("audio")
        player.say("ping")
        player.expect("pong")
        assert set(prefetched(database)) == set(range(1, 7))


@pytest.mark.parametrize("turn", ["seek", "barge_in", "set_topic", "voice_config"])
def test_who_turns_elsewhere_lets_go_of_what_was_ahead(
    play: Open, course: str, database: Database, no_background: None, turn: str
) -> None:
    with play() as player:
        player.say("request_audio", segment_index=0)
        player.expect("audio")
        eventually(lambda: prefetched(database) == dict.fromkeys(range(1, 6), "queued"))
        if turn == "seek":
            player.say("request_audio", segment_index=7)
            player.expect("audio")
            left = dict.fromkeys(range(1, 6), "cancelled") | {8: "queued"}
        else:
            fields = {"barge_in": {"segment_index": 0, "offset_ms": 400}, "set_topic": {"curriculum_id": course}}
            player.say(turn, **fields.get(turn, {"voice_id": "alloy"}))
            player.expect({"set_topic": "topic_set"}.get(turn, f"{turn}_ack"))
            left = dict.fromkeys(range(1, 6), "cancelled")
        eventually(lambda: prefetched(database) == left)


def test_who_breaks_in_stops_what_is_on_its_way(play: Open, course: str, database: Database) -> None:
    with play("&binary=1") as player:
        player.say("set_topic", curriculum_id=course, topic_id="b")
        player.expect("topic_set")
        player.say("request_audio", segment_index=0)
        player.say("request_audio", segment_index=1)
        player.expect("audio_start")
        player.say("barge_in", segment_index=0, offset_ms=700)
        while isinstance(message := player.next(), bytes):
            pass
        assert message["type"] == "audio_end"
        assert (message["interrupted"], message["duration_seconds"]) == (True, None)
        # What was asked for before is answered, too.
        assert player.expect("error")["segment_index"] == 1
        assert player.expect("barge_in_ack") == {"type": "barge_in_ack", "segment_index": 0, "offset_ms": 700}
        with database.transaction() as session:
            job = session.scalars(select(Job.id).where(Job.kind == "speech.speak")).one()

        def state() -> str:
            with database.transaction() as session:
                return session.get_one(Job, job).state

        assert eventually(lambda: state() if state() != "running" else "") == "cancelled"
        player.say("request_audio", segment_index=0)
        _, _, end = player.frames()
        assert "interrupted" not in end


def test_where_the_listener_is_survives_the_line(play: Open, web: Web, session_id: str) -> None:
    with play() as player:
        for index in range(3):
            player.say("request_audio", segment_index=index)
        lasted = [player.expect("audio")["duration_seconds"] for _ in range(3)]
        player.say("sync", segment_index=2, offset_ms=500, is_playing=True)
        ack = player.expect("sync_ack")
        assert (ack["segment_index"], ack["server_time"][-1]) == (2, "Z")
    row = web.get(f"/api/sessions/{session_id}", headers=KEY).json()
    assert (row["segment_index"], row["offset_ms"], row["is_playing"]) == (2, 500, True)
    assert row["playback_position"] == pytest.approx(lasted[0] + lasted[1] + 0.5, abs=0.01)


def test_the_voice_is_kept_and_what_is_not_named_stays(play: Open, web: Web, session_id: str) -> None:
    with play() as player:
        player.say("voice_config", voice_id="alloy", speed=1.5)
        assert player.expect("voice_config_ack")["voice_config"] == {
            "voice_id": "alloy",
            "provider": None,
            "speed": 1.5,
        }
        player.say("request_audio", segment_index=0)
        fast = player.expect("audio")
        player.say("voice_config", speed=1.0)
        assert player.expect("voice_config_ack")["voice_config"]["voice_id"] == "alloy"
        player.say("request_audio", segment_index=0)
        assert player.expect("audio")["duration_seconds"] > fast["duration_seconds"] * 1.2
        # Changed by REST, heard with the next segment.
        assert change(web, "PATCH", f"/api/sessions/{session_id}", {"speed": 1.5}) == 200
        player.say("request_audio", segment_index=0)
        again = player.expect("audio")
        assert (again["cache_hit"], again["duration_seconds"]) == (True, fast["duration_seconds"])


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"type": "request_audio"}, "segment_index"),
        ({"type": "request_audio", "segment_index": 9}, "there are 9"),
        ({"type": "request_audio", "segment_index": -1}, "-1"),
        ({"type": "request_audio", "segment_index": "0"}, "'0'"),
        ({"type": "request_audio", "segment_index": 0, "from_byte": 5}, "from_byte"),
        ({"type": "voice_config", "voice_id": "nobody"}, "'nobody'"),
        ({"type": "voice_config", "speed": 9}, "9"),
        ({"type": "set_topic", "curriculum_id": "gone"}, "'gone'"),
        ({"type": "set_topic"}, "curriculum_id"),
        ({"type": "sync", "segment_index": 0, "is_playing": "yes"}, "is_playing"),
        ({"type": "dance"}, "'dance'"),
        ({"colour": "red"}, "type"),
        ([1], "type"),
        ("no json", "type"),
    ],
    ids=str,
)
def test_a_bad_message_is_answered_by_name_and_the_socket_goes_on(play: Open, said: Any, named: str) -> None:
    with play() as player:
        player._connection.send(json.dumps(said))
        answer = player.expect("error")
        assert named in answer["error"]
        index = said.get("segment_index") if isinstance(said, dict) else None
        assert answer.get("segment_index") == (index if isinstance(index, int) else None)
        player.say("ping")
        player.expect("pong")


def test_bytes_and_broken_json_are_answered_with_an_error(play: Open) -> None:
    with play() as player:
        player._connection.send_binary(b"\x00\x01")
        assert "Text" in player.expect("error")["error"]
        player._connection.send("{")
        assert "JSON" in player.expect("error")["error"]


def test_a_segment_without_a_word_is_an_error_that_names_it(play: Open, course: str) -> None:
    with play() as player:
        player.say("set_topic", curriculum_id=course, topic_id="b")
        player.expect("topic_set")
        player.say("request_audio", segment_index=1)
        answer = player.expect("error")
        assert (answer["segment_index"], "no word" in answer["error"]) == (1, True)


def test_an_ended_or_foreign_or_unknown_session_is_not_played(
    web: Web, play: Open, session_id: str, admin: dict[str, str]
) -> None:
    theirs = web.post("/api/sessions", json={"user_id": "x"}, headers=admin).json()["id"]
    for unknown in ("", "nothing", "no%00thing", theirs):
        with play(session=unknown) as player:
            assert player.closed() == 4404
    with play("&format=ogg") as player:
        assert player.closed() == 1008
    assert web.close_code(f"/ws/audio?session_id={session_id}") == 4401
    with play() as player:
        assert change(web, "DELETE", f"/api/sessions/{session_id}") == 200
        player.say("request_audio", segment_index=0)
        assert "ended" in player.expect("error")["error"]
        assert player.closed() == 4404
    with play() as player:
        assert player.closed() == 4404


def test_a_session_without_a_course_says_so(web: Web, play: Open) -> None:
    bare = web.post("/api/sessions", json={"user_id": "x"}, headers=KEY).json()["id"]
    with play(session=bare) as player:
        player.say("request_audio", segment_index=0)
        assert "no course is set" in player.expect("error")["error"]


def test_a_changed_course_is_heard_as_it_is_now(web: Web, play: Open, course: str) -> None:
    with play() as player:
        player.say("request_audio", segment_index=0)
        assert player.expect("audio")["total_segments"] == 9
        content = [{"id": "a", "title": "A", "segments": ["Only this is left."]}]
        assert change(web, "PUT", f"/api/curriculum/{course}", {"content": content}) == 200
        player.say("request_audio", segment_index=0)
        assert player.expect("audio")["total_segments"] == 1


def test_who_listens_is_told_when_the_server_stops(configured: Settings, session_id: str) -> None:
    with serving(configured.var_dir / "log" / "stopped_player.log") as stopped:
        address = f"/ws/audio?session_id={session_id}"
        with stopped.socket(address, header=[f"X-API-Key: {CLIENT_KEY}"]) as opened:
            player = Player(opened.connection)
            player.say("ping")
            player.expect("pong")
            stopped.child.stop()
            assert player.closed() == 1001


def test_the_place_in_a_long_topic_is_known_in_seconds_as_far_as_it_was_made(
    web: Web, play: Open, course: str, session_id: str
) -> None:
    content = [{"id": "a", "title": "A", "segments": ["Again.", "..."] * 120}]
    assert change(web, "PUT", f"/api/curriculum/{course}", {"content": content}) == 200
    with play() as player:
        player.say("sync", segment_index=2, offset_ms=0)
        player.expect("sync_ack")
        path = f"/api/sessions/{session_id}"
        # Nothing before it was ever made.
        assert web.get(path, headers=KEY).json()["playback_position"] == 0
        player.say("request_audio", segment_index=0)
        lasts = player.expect("audio")["duration_seconds"]
        for _ in range(3):
            player.say("sync", segment_index=201, offset_ms=250)
            player.expect("sync_ack")
        position = web.get(path, headers=KEY).json()["playback_position"]
        assert position == pytest.approx(101 * lasts + 0.25, abs=0.2)
