"""Any server that speaks as OpenAI's API does: ``POST /v1/audio/speech`` (VibeVoice, Kokoro, Chatterbox servers …).

Source: https://platform.openai.com/docs/api-reference/audio/createSpeech. ``pcm`` is asked for: 16-bit little-endian
mono without a header, so that sound can be passed on as it arrives; a server that sends WAV instead is understood.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
import requests
import soxr
from numpy.typing import NDArray
from requests.auth import AuthBase

from workers.audio.clip import Clip, join
from workers.device import Device
from workers.errors import BadInput, RetryLater
from workers.tts.provider import Capabilities, NotSetUp, Spoken, Utterance, plain_and_marks
from workers.tts.remote_pcm import NotSound, samples

# A server that does not take a connection within 5 s is down; one that thinks for a minute before it says a word, or
# between two, hangs. A piece of text is at most 300 characters, some 30 s of speech.
_CONNECT_SECONDS, _READ_SECONDS, _WHOLE_SECONDS = 5.0, 60.0, 180.0
_MOST_SOUND_SECONDS = 180
_TRIES = 3
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 5.0
# After this many failures in a row nobody is made to wait for another until the pause is over.
_FAILURES, _OPEN_SECONDS = 3, 15.0
# 170 ms of sound at 24 kHz.
_CHUNK_BYTES = 8192
# Of a message that we pass on.
_MOST_CHARACTERS = 300
# What we give, whatever the server's rate is: the catalogue tells it before anything is spoken.
_RATE_HZ = 24000
_SECRET = re.compile(r"(?i)(bearer\s+|\bsk-)[\w.~+/=*-]+")
_TOO_EARLY_OR_BUSY = (408, 425, 429)
_NOT_LET_IN = (401, 402, 403, 407)


class _Bearer(AuthBase):
    """The key. As an auth object, because requests would replace a header by what a ~/.netrc says of the host."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class _Busy(Exception):
    """Worth another try after ``pause_seconds`` (None: as we see fit)."""

    def __init__(self, message: str, pause_seconds: float | None = None, *, failed: bool = True) -> None:
        super().__init__(message)
        self.pause_seconds = pause_seconds
        self.failed = failed


@dataclass
class _Breaker:
    """Counts failures in a row; open, it lets nobody through for a while."""

    clock: Callable[[], float]
    failures: int = 0
    closed_again: float = 0.0

    def check(self) -> None:
        """Raises RetryLater while it is open."""
        if (left := self.closed_again - self.clock()) > 0:
            raise RetryLater(f"the remote speech server failed {self.failures} times; next try in {left:.0f} s")

    def failed(self) -> None:
        """One more; the one that is let through after the pause opens it again at once if it fails."""
        self.failures += 1
        if self.failures >= _FAILURES:
            self.closed_again = self.clock() + _OPEN_SECONDS

    def succeeded(self) -> None:
        """The server is well."""
        self.failures = 0


class RemoteProvider:
    """A remote server's voices by their names there."""

    name = "remote"
    sample_rate_hz = _RATE_HZ
    # Many servers ignore a speed they are asked for, so it is not left to them.
    capabilities = Capabilities(
        batch=False,
        seed=False,
        streams_in_sentence=True,
        word_times=False,
        languages=("en",),
        licence="as its server says",
    )

    def __init__(
        self,
        url: str,
        *,
        api_key: str,
        model: str,
        server_rate_hz: int = _RATE_HZ,
        timeout_seconds: tuple[float, float] = (_CONNECT_SECONDS, _READ_SECONDS),
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        place = urlsplit(url)
        if place.scheme not in ("http", "https") or not place.hostname:
            raise NotSetUp(f"REMOTE_TTS_URL: {url!r} is no http:// or https:// address")
        self._url = url.rstrip("/").removesuffix("/v1") + "/v1/audio/speech"
        self._host = place.hostname + (f":{place.port}" if place.port else "")
        self._key, self._model = api_key, model
        self.revision = f"{model}@{self._host}"
        self._server_rate_hz = server_rate_hz
        self._timeout = timeout_seconds
        self._sleep, self._clock = sleep, clock
        self._breaker = _Breaker(clock)
        self._session = requests.Session()

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Spoken]:
        """One request each.

        Raises:
            BadInput: the server refuses the request; its message says why.
            RetryLater: it is away, busy, broken, or the connection was cut.
        """
        return [
            Spoken(join([part.clip for part in self.stream(utterance)], self.sample_rate_hz))
            for utterance in utterances
        ]

    def stream(self, utterance: Utterance) -> Iterator[Spoken]:
        """The sound as it arrives. Raises as ``synthesize_batch`` does, also after the first part."""
        text, _ = plain_and_marks(utterance.text)
        if not any(character.isalnum() for character in text):
            return
        ends = self._clock() + _WHOLE_SECONDS
        with self._ask(text, utterance.voice) as answer:
            try:
                received = 0
                resampler = soxr.ResampleStream(self._server_rate_hz, _RATE_HZ, 1, dtype="float32")
                for part in samples(answer.iter_content(_CHUNK_BYTES), self._server_rate_hz):
                    received += len(part)
                    if received > _MOST_SOUND_SECONDS * self._server_rate_hz:
                        raise NotSound(f"more than {_MOST_SOUND_SECONDS} s of sound for {len(text)} characters")
                    if self._clock() > ends:
                        raise NotSound(f"not done after {_WHOLE_SECONDS:.0f} s")
                    yield self._spoken(resampler, part)
                if not received:
                    raise NotSound("no sound")
                yield self._spoken(resampler, np.zeros(0, np.int16), last=True)
            except (requests.RequestException, NotSound) as fault:
                self._breaker.failed()
                raise self._unwell(f"broke off its answer: {fault}") from fault
        self._breaker.succeeded()

    def _spoken(self, resampler: soxr.ResampleStream, part: NDArray[np.int16], *, last: bool = False) -> Spoken:
        samples = part.astype(np.float32) / np.float32(32768)
        if self._server_rate_hz != _RATE_HZ:
            samples = resampler.resample_chunk(samples, last=last)
        return Spoken(Clip(samples, _RATE_HZ))

    def _ask(self, text: str, voice: str) -> requests.Response:
        """A good answer whose body is still to come; tries again what may pass."""
        pause = _FIRST_PAUSE_SECONDS
        for last in (number == _TRIES for number in range(1, _TRIES + 1)):
            self._breaker.check()
            try:
                return self._try(text, voice)
            except _Busy as fault:
                if fault.failed:
                    self._breaker.failed()
                if last:
                    raise self._unwell(str(fault)) from fault
                wanted = pause if fault.pause_seconds is None else fault.pause_seconds
                self._sleep(min(wanted, _LONGEST_PAUSE_SECONDS))
                pause *= 2
        raise AssertionError("the last try returns or raises")

    def _try(self, text: str, voice: str) -> requests.Response:
        body = {"model": self._model, "input": text, "voice": voice, "response_format": "pcm"}
        try:
            # Whoever answers with another place would be given the text, and perhaps the key.
            answer = self._session.post(
                self._url,
                json=body,
                auth=_Bearer(self._key),
                timeout=self._timeout,
                stream=True,
                allow_redirects=False,
            )
        except requests.RequestException as fault:
            raise _Busy(f"does not answer ({type(fault).__name__})") from fault
        try:
            self._judge(answer)
        except BaseException:
            answer.close()
            raise
        return answer

    def _judge(self, answer: requests.Response) -> None:
        status = answer.status_code
        if status in _TOO_EARLY_OR_BUSY:
            raise _Busy(f"is busy ({status})", _seconds(answer.headers.get("Retry-After")), failed=False)
        if status >= 500:
            raise _Busy(f"failed ({status}): {self._message(answer)}")
        if status in _NOT_LET_IN:
            # Whoever wants to be spoken to cannot mend it; the operator can.
            raise self._unwell(f"does not let us in ({status}; REMOTE_TTS_API_KEY): {self._message(answer)}")
        if status >= 400:
            raise BadInput(f"the remote speech server refuses it ({status}): {self._message(answer)}")
        if status != 200:
            raise self._unwell(f"answers {status} instead of sound")
        kind = answer.headers.get("Content-Type", "audio/pcm").partition(";")[0].strip().lower()
        if not kind.startswith("audio/") and kind != "application/octet-stream":
            raise _Busy(f"answers with {kind} instead of sound")
        if "Content-Length" not in answer.headers and answer.headers.get("Transfer-Encoding") != "chunked":
            # Such a body ends where the connection does, and nobody could tell that from a cut.
            raise self._unwell("does not say where its answer ends (neither a length nor chunks)")

    def _message(self, answer: requests.Response) -> str:
        """What the server says is wrong, without anything secret."""
        try:
            text = next(answer.iter_content(_CHUNK_BYTES), b"").decode("utf-8", "replace")
        except requests.RequestException:
            return "no message"
        found = re.search(r'"(?:message|detail|error)"\s*:\s*"((?:[^"\\]|\\.)*)"', text)
        text = " ".join((found[1] if found else text).split())[:_MOST_CHARACTERS]
        if self._key:
            text = text.replace(self._key, "…")
        return _SECRET.sub(r"\1…", text) or "no message"

    def _unwell(self, what: str) -> RetryLater:
        return RetryLater(f"the remote speech server {self._host} {what}", code="remote_unavailable")


def _seconds(header: str | None) -> float | None:
    return float(header) if header and header.isdecimal() else None


def load(
    device: Device, *, url: str = "", api_key: str = "", model: str = "tts-1", sample_rate_hz: str = "24000"
) -> RemoteProvider:
    """The engine for the server at ``url``; it is first asked when somebody wants to hear it.

    Raises:
        NotSetUp: there is no such address.
    """
    if not url:
        raise NotSetUp("REMOTE_TTS_URL is not set")
    return RemoteProvider(url, api_key=api_key, model=model, server_rate_hz=int(sample_rate_hz))
