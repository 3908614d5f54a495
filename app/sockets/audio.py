"""``/ws/audio``: a session is played, segment by segment.

Segments are sent one after the other: whole in JSON or, with ``?binary=1``, as frames while they are made. A listener
who breaks in, or chooses another topic or voice, stops what is on its way.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import closing
from typing import Any, cast

from flask import g, request
from marshmallow import EXCLUDE, Schema, ValidationError

from app import context, listening, speaking
from app.http.access import CLIENT, OWN
from app.http.offload import offload
from app.http.parsing import MAX_INTEGER, Flag, Number, Text, Voiced, Whole, refuse_bad_text, sentences
from app.http.waiting import ClientGone
from app.playback import AHEAD, Playback
from app.sockets.feeds import UNKNOWN, socket
from app.sockets.inbox import Inbox
from app.speaking import MAX_SPEED, MIN_SPEED, Wanted
from app.speech_ended import SpeechFailed
from config.versions import AUDIO_FORMATS
from models import speech_voices
from models.base import iso, utc_now
from models.errors import Conflict, Invalid, ModelError, NotFound
from models.speech_renditions import Form

# What a browser takes as one message without a stutter; also the size of the pieces that workers send.
FRAME_BYTES = 32 * 1024
# One chunk that tells the format, one that holds the samples: how every WAV of ours begins.
_WAV_HEADER_BYTES = 44
# A rule of ours is broken (RFC 6455, 7.4.1).
REFUSED = 1008


class _Message(Schema):
    """What all messages share: keys that we do not know are passed over."""

    class Meta:
        unknown = EXCLUDE


class RequestAudio(_Message):
    """A segment, with ``from_byte`` the rest of one."""

    segment_index = Whole(0, MAX_INTEGER, required=True)
    from_byte = Whole(0, MAX_INTEGER, load_default=0)


class Sync(_Message):
    """Where the listener is."""

    segment_index = Whole(0, MAX_INTEGER, required=True)
    offset_ms = Whole(0, MAX_INTEGER, load_default=0)
    is_playing = Flag(load_default=True)


class BargeIn(_Message):
    """Where the listener broke in."""

    segment_index = Whole(0, MAX_INTEGER, required=True)
    offset_ms = Whole(0, MAX_INTEGER, load_default=0)


class VoiceConfig(_Message, Voiced):
    """The voice from now on; what is not named stays."""

    voice_id = Text(allow_none=True, maximum=100)
    provider = Text(allow_none=True, maximum=100)
    speed = Number(MIN_SPEED, MAX_SPEED)


class SetTopic(_Message):
    """What is played from now on."""

    curriculum_id = Text(required=True, minimum=1, maximum=200)
    topic_id = Text(load_default=None, allow_none=True, maximum=200)


@socket("/ws/audio", allowed=CLIENT, whose=OWN)
def audio(ws: Any) -> None:
    """Plays the session ``?session_id=`` in ``?format=`` (wav)."""
    session_id = request.args.get("session_id", "")
    try:
        refuse_bad_text(session_id, "session_id")
        playback = Playback(session_id, g.caller)
    except (NotFound, Conflict, Invalid) as fault:
        ws.close(UNKNOWN, fault.message[:120])
        return
    format_name = request.args.get("format", "wav")
    if format_name not in AUDIO_FORMATS:
        ws.close(REFUSED, f"format: {format_name!r:.20} is not one of {', '.join(sorted(AUDIO_FORMATS))}")
        return
    # No news of jobs: what the client says waits there, and that the server stops.
    with context.current().hub.subscribed(wanted=lambda news: False) as subscription:
        inbox = Inbox(ws, subscription, stopping=("barge_in", "set_topic", "voice_config"))
        _Conversation(ws, inbox, playback, Form(format_name), binary=request.args.get("binary") == "1").go_on()


class _Conversation:
    """The socket of one listener."""

    def __init__(self, ws: Any, inbox: Inbox, playback: Playback, form: Form, *, binary: bool) -> None:
        self._ws = ws
        self._inbox = inbox
        self._playback = playback
        self._form = form
        self._binary = binary
        self._sequence = 0
        self._asked_last = 0
        self._answers: dict[str, tuple[Schema, Callable[..., None]]] = {
            "request_audio": (RequestAudio(), self._request_audio),
            "sync": (Sync(), self._sync),
            "barge_in": (BargeIn(), self._barge_in),
            "voice_config": (VoiceConfig(), self._voice_config),
            "set_topic": (SetTopic(), self._set_topic),
        }

    def go_on(self) -> None:
        """Answers until the client is gone or the session has ended."""
        for message in self._inbox:
            index = message.get("segment_index")
            about = {"segment_index": index} if isinstance(index, int) else {}
            try:
                self._answer(message)
            except ClientGone:
                self._send("error", error="Another message stopped it.", code="INTERRUPTED", **about)
            except ModelError as fault:
                self._send("error", error=fault.message, code=fault.code.upper(), **about)
                if isinstance(fault, Conflict | NotFound) and self._session_is_over():
                    self._ws.close(UNKNOWN, "The session has ended.")
                    return
            except SpeechFailed:
                self._send("error", error="It could not be spoken.", code="SERVER_ERROR", **about)

    def _answer(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "ping":
            self._send("pong")
            return
        if kind not in self._answers:
            known = ", ".join(self._answers)
            raise Invalid(message.get("fault") or f"Unknown message type {kind!r:.60}; there are {known}.")
        schema, act = self._answers[str(kind)]
        refuse_bad_text(message, "")
        try:
            body = schema.load(message)
        except ValidationError as fault:
            raise Invalid("; ".join(sentences(fault.messages, ""))) from None
        act(**cast(dict[str, Any], body))

    def _request_audio(self, segment_index: int, from_byte: int) -> None:
        if self._inbox.stops():
            raise ClientGone
        self._playback.refresh()
        wanted = self._playback.wanted(segment_index, self._form)
        if self._binary:
            self._send_frames(segment_index, wanted, from_byte)
        elif from_byte:
            raise Invalid("from_byte: only the frames of ?binary=1 can be resumed")
        else:
            self._send_whole(segment_index, wanted)
        self._asked_last = segment_index
        if not self._inbox.stops():
            self._playback.look_ahead(segment_index)

    def _send_whole(self, index: int, wanted: Wanted) -> None:
        found, outcome = speaking.fetch(wanted, gone=self._inbox.stops)
        message = {
            "type": "audio",
            "segment_index": index,
            "format": self._form.format,
            "duration_seconds": round(found.duration_seconds, 3),
            "cache_hit": outcome == "hit",
            "total_segments": self._playback.total_segments,
        }
        path = context.current().files.path(found.file)
        # A minute of sound is 4 MB of text: putting it together takes longer than others should wait.
        self._ws.send(
            offload(lambda: json.dumps(message | {"audio_base64": base64.b64encode(path.read_bytes()).decode()}))
        )

    def _send_frames(self, index: int, wanted: Wanted, from_byte: int) -> None:
        """Raises ClientGone when it was stopped before its first byte was there; later, its end says so."""
        content, outcome, seconds = self._content(wanted, from_byte)
        rate_hz = speaking.rate_in_file(wanted.form, wanted.resolution.rate_hz)
        sent, interrupted = from_byte, False
        with closing(content):
            self._sequence += 1
            self._send(
                "audio_start",
                segment_index=index,
                sequence=self._sequence,
                format=self._form.format,
                sample_rate=rate_hz,
                cache_hit=outcome == "hit",
            )
            try:
                for block in content:
                    for at in range(0, len(block), FRAME_BYTES):
                        if self._inbox.stops():
                            raise ClientGone
                        piece = block[at : at + FRAME_BYTES]
                        self._ws.send(piece)
                        sent += len(piece)
            except (ClientGone, BrokenPipeError):
                # The second is what listening makes of the first, for the sake of HTTP.
                if not self._inbox.stops():
                    raise
                interrupted = True
        if seconds is None and not interrupted:
            header = _WAV_HEADER_BYTES if self._form.format == "wav" else 0
            seconds = (sent - header) / 2 / rate_hz
        self._send(
            "audio_end",
            segment_index=index,
            sequence=self._sequence,
            bytes=sent,
            duration_seconds=None if seconds is None else round(seconds, 3),
            total_segments=self._playback.total_segments,
            **({"interrupted": True} if interrupted else {}),
        )

    def _content(self, wanted: Wanted, from_byte: int) -> tuple[Any, str, float | None]:
        """The bytes, how they were come by, and the seconds where they are known already.

        What a file continues at the same byte is sent while it is made. Of the other formats stream and file differ,
        and who resumes would have parts of both: they are sent when the file is there.
        """
        if self._form.format in listening.CONTINUED:
            streamed = listening.listen(wanted, from_byte=from_byte, gone=self._inbox.stops)
            return streamed.content, streamed.outcome, None
        found, outcome = speaking.fetch(wanted, gone=self._inbox.stops)
        content = listening.rest_of(context.current().files.path(found.file), from_byte)
        return content, outcome, found.duration_seconds

    def _sync(self, segment_index: int, offset_ms: int, is_playing: bool) -> None:
        self._playback.move(segment_index, offset_ms, is_playing=is_playing)
        self._send("sync_ack", segment_index=segment_index, server_time=iso(utc_now()))
        # A player asks ahead of what is heard; only who is elsewhere has jumped.
        if is_playing and not self._asked_last - AHEAD <= segment_index <= self._asked_last + 1:
            self._asked_last = segment_index
            self._playback.look_ahead(segment_index)

    def _barge_in(self, segment_index: int, offset_ms: int) -> None:
        self._playback.move(segment_index, offset_ms, is_playing=False)
        self._send("barge_in_ack", segment_index=segment_index, offset_ms=offset_ms)
        self._playback.forget_ahead()

    def _voice_config(self, **chosen: Any) -> None:
        row = self._playback.row
        voice = {"voice_id": row.voice_id, "provider": row.provider, "speed": row.speed} | chosen
        # Refuses what nobody knows.
        speech_voices.resolve(context.current().engines(None), voice["voice_id"], voice["provider"])
        self._playback.change(**voice)
        self._playback.forget_ahead()
        self._send("voice_config_ack", voice_config=voice)

    def _set_topic(self, curriculum_id: str, topic_id: str | None) -> None:
        place = {"segment_index": 0, "offset_ms": 0, "playback_position": 0.0}
        self._playback.change(curriculum_id=curriculum_id, topic_id=topic_id, **place)
        self._playback.forget_ahead()
        self._asked_last = 0
        total = self._playback.total_segments
        self._send("topic_set", curriculum_id=curriculum_id, topic_id=topic_id, total_segments=total)

    def _session_is_over(self) -> bool:
        try:
            self._playback.refresh()
        except (Conflict, NotFound):
            return True
        return False

    def _send(self, kind: str, **said: Any) -> None:
        self._ws.send(json.dumps({"type": kind} | said))
