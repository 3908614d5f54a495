"""``/api/test/ws/{model_id}``: a microphone is listened to for a word, live.

Clients send their sound as JSON with base64 or as binary frames of 16-bit samples, at any rate; they are told the score
at least twice for each second of it. What was captured can be kept for the next training of the word.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any, cast

from flask import g, request
from marshmallow import EXCLUDE, Schema, ValidationError
from simple_websocket import ConnectionClosed

from app import context, wake_listening
from app.context import Context
from app.http.access import CLIENT
from app.http.offload import offload
from app.http.parsing import QueryNumber, QueryWhole, refuse_bad_text, sentences
from app.sockets.audio import REFUSED
from app.sockets.feeds import TOO_MANY, TRY_AGAIN, UNKNOWN, socket
from app.sockets.subscription import Subscription, TooSlow
from app.wake_listening import Manner, Stream, StreamLost
from app.wake_sound import RATES_HZ, Sound, checked_rate, last_of, sound_of, wav
from models import wake_captures, wake_models
from models.base import iso, utc_now
from models.errors import Busy, Invalid, ModelError, NotFound
from models.wake_models import WakeModel
from workers.errors import BadInput
from workers.wakeword.detector import Score

# Of each stretch of so much sound that has no detection in it, the highest score is told.
TOLD_SECONDS = 0.4
# What is kept of a stream, for a capture; a word and what was before it.
KEPT_SECONDS, SHORTEST_CAPTURE_SECONDS = 3.0, 0.3
# Messages that are read before the first of them is done: beyond them the client's wait in its own buffers.
AHEAD = 2
# Rounds of scores that wait for a client who reads slowly, before it is not listened to for the moment: twenty seconds.
UNTOLD = 200
# Taking it apart beside the loop costs more than it takes.
_SHORT = 32 * 1024
_WAIT_SECONDS = 60.0
_AGAIN_SECONDS = 0.2


class Asked(Schema):
    """How it is listened."""

    class Meta:
        unknown = EXCLUDE

    threshold = QueryNumber(0.0, 1.0, load_default=None)
    refractory_ms = QueryWhole(0, 60_000, load_default=2000)
    smoothing = QueryWhole(1, 50, load_default=2)
    sample_rate = QueryWhole(*RATES_HZ, load_default=16_000)


@socket("/api/test/ws/<model_id>", allowed=CLIENT, surface="wakewords")
def listen(ws: Any, model_id: str) -> None:
    """Listens for the word with the model as it is now, whatever becomes of it later."""
    here = context.current()
    try:
        asked = cast(dict[str, Any], Asked().load(request.args.to_dict()))
        with here.database.reading() as session:
            model = wake_models.find(session, model_id)
    except ValidationError as fault:
        _close(ws, REFUSED, "; ".join(sentences(fault.messages, "")))
        return
    except NotFound as fault:
        _close(ws, UNKNOWN, fault.message)
        return
    threshold = model.threshold if asked["threshold"] is None else asked["threshold"]
    manner = Manner(threshold, asked["smoothing"], asked["refractory_ms"] / 1000)
    ws.sock = _Patient(ws)
    # No news of jobs: scores wait there, and that the server stops.
    with here.hub.subscribed(wanted=lambda news: False) as subscription:
        subscription.caller = g.caller
        conversation = _Conversation(ws, here, subscription, model, threshold, asked["sample_rate"])
        try:
            detector = here.files.path(model.files["detector"]["file"])
            with wake_listening.current().stream(detector, manner, conversation.hear) as stream:
                threading.Thread(target=conversation.tell_for_ever, name="wake-telling", daemon=True).start()
                conversation.go_on(stream)
        except (FileNotFoundError, BadInput):
            _close(ws, UNKNOWN, f"The files of wake-word model {model.name} are gone.")
        except Busy as fault:
            _close(ws, TOO_MANY, fault.message)
        except StreamLost:
            _close(ws, TRY_AGAIN, "The listening broke off; connect again.")
        finally:
            subscription.put({"said": None})


def _close(ws: Any, code: int, why: str) -> None:
    # The protocol has room for 123 bytes.
    ws.close(code, why.encode()[:120].decode(errors="ignore"))


class _Patient:
    """A socket that is not read while enough of what was read waits: so a client in a hurry waits, too."""

    def __init__(self, ws: Any) -> None:
        self._ws = ws
        self._sock = ws.sock
        self._room = threading.Event()

    def recv(self, size: int) -> bytes:
        while len(self._ws.input_buffer) > AHEAD and self._ws.connected:
            self._room.clear()
            self._room.wait(_AGAIN_SECONDS)
        content: bytes = self._sock.recv(size)
        return content

    def stir(self) -> None:
        """A message was taken."""
        self._room.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _Conversation:
    """The socket of one microphone. One greenlet hears what the client says, another tells what is heard in it."""

    def __init__(
        self, ws: Any, here: Context, subscription: Subscription, model: WakeModel, threshold: float, rate_hz: int
    ) -> None:
        self._ws = ws
        self._here = here
        self._subscription = subscription
        self._model = model
        self._account_id = g.caller.account_id
        self._threshold = threshold
        self._rate_hz = rate_hz
        self._groups = Groups()
        self._untold = 0
        self._recent: deque[Sound] = deque()
        self._recent_samples = 0

    def hear(self, scores: list[Score]) -> None:
        """Takes scores that are to be told; does not wait."""
        self._untold += 1
        self._subscription.put({"said": scores})

    def tell_for_ever(self) -> None:
        """Sends scores as they come, until the client is gone or the server stops."""
        with suppress(ConnectionClosed, OSError):
            try:
                while True:
                    for news in self._subscription.take(_WAIT_SECONDS):
                        if news["said"] is None:
                            if "code" in news:
                                self._ws.close(news["code"], news["why"])
                                # Whoever waits for the client's next word need not, any more.
                                self._ws.event.set()
                            return
                        self._tell(news["said"])
                        self._untold -= 1
            except TooSlow:
                self._ws.close(TRY_AGAIN, "You read too slowly; connect again.")

    def go_on(self, stream: Stream) -> None:
        """Hears what the client says, until it is gone."""
        while True:
            said = self._ws.receive()
            self._ws.sock.stir()
            try:
                answer = self._answer(said, stream)
            except ModelError as fault:
                answer = {"type": "error", "error": fault.code, "message": fault.message, "details": fault.details}
            if answer is not None:
                self._ws.send(json.dumps(answer))
            while self._untold > UNTOLD and self._ws.connected:
                time.sleep(_AGAIN_SECONDS)

    def _answer(self, said: str | bytes, stream: Stream) -> dict[str, Any] | None:
        """What is answered at once; None where the scores are the answer."""
        read = _read if len(said) <= _SHORT else lambda *args: offload(_read, *args)
        message = read(said, self._rate_hz)
        if isinstance(message, Sound):
            self._remember(message)
            stream.feed(message)
            return None
        kind = message["type"]
        if kind == "ping":
            return {"type": "pong"}
        if kind == "capture":
            return self._capture(message.get("kind"))
        raise Invalid(f"type: there is no message {kind!r:.60}; there are audio, capture, ping")

    def _tell(self, scores: list[Score]) -> None:
        for score, confidence in self._groups.of(scores):
            self._ws.send(
                json.dumps(
                    {
                        "type": "detection",
                        "detected": score.detected,
                        "confidence": round(confidence, 4),
                        "threshold": self._threshold,
                        "timestamp": iso(utc_now()),
                        "time_seconds": round(score.time_seconds, 2),
                        "model_id": self._model.name,
                    }
                )
            )

    def _remember(self, sound: Sound) -> None:
        """Keeps the last few seconds; of another rate than before only what comes from now on."""
        if not len(sound.samples):
            return
        if self._recent and self._recent[-1].rate_hz != sound.rate_hz:
            self._recent.clear()
            self._recent_samples = 0
        most = round(KEPT_SECONDS * sound.rate_hz)
        # A copy where it is a part of more, which would be kept with it.
        kept = sound if len(sound.samples) <= most else Sound(sound.samples[-most:].copy(), sound.rate_hz)
        self._recent.append(kept)
        # Counted as they come: of frames of one sample there are half a million.
        self._recent_samples += len(kept.samples)
        while self._recent_samples - len(self._recent[0].samples) >= most:
            self._recent_samples -= len(self._recent.popleft().samples)

    def _capture(self, kind: Any) -> dict[str, Any]:
        """Keeps the last seconds for the next training of the word.

        Raises:
            Invalid: there is no such kind, or nothing to keep yet.
            NotFound: the word has no model any more.
        """
        if kind not in wake_captures.KINDS:
            raise Invalid(f"kind: {kind!r:.60} is not one of {', '.join(wake_captures.KINDS)}")
        held = sum(each.seconds for each in self._recent)
        if held < SHORTEST_CAPTURE_SECONDS:
            raise Invalid(f"{held:.2f} s of sound have come so far; a capture needs {SHORTEST_CAPTURE_SECONDS} s")
        sound = last_of(self._recent, KEPT_SECONDS)
        content = wav(sound)
        file = offload(self._here.files.put, content)
        with self._here.database.transaction() as session:
            # What is kept is for a word's next training: of one that was deleted there is none.
            wake_models.versions(session, self._model.slug)
            captured = wake_captures.add(
                session,
                slug=self._model.slug,
                kind=kind,
                file=file,
                size_bytes=len(content),
                duration_seconds=round(sound.seconds, 3),
                account_id=self._account_id,
            )
            return {
                "type": "captured",
                "capture_id": captured.id,
                "kind": kind,
                "duration_seconds": captured.duration_seconds,
            }


class Groups:
    """Scores as they are told: each that is a detection, and the highest of every stretch between."""

    def __init__(self) -> None:
        self._told_seconds = 0.0
        self._highest = 0.0

    def of(self, scores: list[Score]) -> list[tuple[Score, float]]:
        """Those to tell now, each with what is told as its confidence: of a stretch the last, with the highest."""
        told = []
        for score in scores:
            self._highest = max(self._highest, score.smoothed)
            if score.detected or score.time_seconds - self._told_seconds >= TOLD_SECONDS - 0.001:
                told.append((score, score.smoothed if score.detected else self._highest))
                self._told_seconds, self._highest = score.time_seconds, 0.0
        return told


def _read(said: str | bytes, rate_hz: int) -> Sound | dict[str, Any]:
    """The sound in a message, or what else it is.

    Raises:
        Invalid: it is neither.
    """
    if isinstance(said, bytes):
        return sound_of(said, rate_hz)
    try:
        message = json.loads(said)
    except (ValueError, RecursionError):
        raise Invalid("The message is not valid JSON.") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise Invalid("A message is an object with a type.")
    if message["type"] != "audio":
        refuse_bad_text(message, "")
        return message
    data = message.get("data")
    if not isinstance(data, str):
        raise Invalid(f"data: {data!r:.60} is not a text of base64")
    try:
        content = base64.b64decode(data, validate=True)
    except ValueError:
        raise Invalid("data: it is not valid base64") from None
    given = message.get("sample_rate")
    return sound_of(content, rate_hz if given is None else checked_rate(given))
