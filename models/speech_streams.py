"""Speech on its way to those who listen while it is made: one Redis stream for each job, which later ones replay.

An entry is a piece of the encoded sound and its place in the whole. A worker that takes a job over begins anew at 0:
listeners pass over what they have. The streams live in a Redis without a log (``STREAM_REDIS_URL``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import redis

from models import redis_keys

# A piece is sent as soon as it is there, so small ones are heard early; large ones cost less.
PIECE_BYTES = 32 * 1024
# 16 MiB: what one job may take of the server's memory. Whoever falls behind more than that cannot go on.
KEPT_PIECES = 512


@dataclass(frozen=True)
class Part:
    """Bytes ``content`` at place ``at``; ``last`` when nothing follows."""

    at: int
    content: bytes
    last: bool = False


class Writer:
    """The one who makes the speech."""

    def __init__(self, client: redis.Redis, job_id: str) -> None:
        self._client = client
        self._key = redis_keys.speech_stream(job_id)
        self._at = 0
        self._begun = False

    def write(self, content: bytes) -> None:
        """Sends the next bytes."""
        if not content:
            return
        with self._client.pipeline(transaction=False) as pipe:
            if not self._begun:
                # What a worker that died left. Emptied, not removed: entries keep ascending for those who read already.
                pipe.xtrim(self._key, maxlen=0, approximate=False)
                self._begun = True
            for start in range(0, len(content), PIECE_BYTES):
                piece = content[start : start + PIECE_BYTES]
                pipe.xadd(self._key, {"at": self._at, "content": piece}, maxlen=KEPT_PIECES, approximate=False)
                self._at += len(piece)
            pipe.expire(self._key, redis_keys.SPEECH_STREAM_SECONDS)
            pipe.execute()

    def close(self) -> None:
        """Says that this was all."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.xadd(self._key, {"at": self._at, "last": 1}, maxlen=KEPT_PIECES, approximate=False)
            pipe.expire(self._key, redis_keys.SPEECH_STREAM_ENDED_SECONDS)
            pipe.execute()


class Reader:
    """One who listens."""

    def __init__(self, client: redis.Redis, job_id: str) -> None:
        self._client = client
        self._key = redis_keys.speech_stream(job_id)
        self._seen: bytes | str = "0"

    def read(self, wait_seconds: float) -> list[Part]:
        """What came since the last time, waited for so long; empty when nothing did.

        Raises:
            redis.RedisError: the server cannot be asked.
        """
        milliseconds = max(1, round(wait_seconds * 1000))
        answer: Any = self._client.xread({self._key: self._seen}, count=64, block=milliseconds)
        if not answer:
            return []
        # RESP3 answers with a mapping, RESP2 with pairs.
        entries = next(iter(answer.values()))[0] if isinstance(answer, dict) else answer[0][1]
        self._seen = entries[-1][0]
        return [_part(cast(dict[bytes, bytes], fields)) for _, fields in entries]


def _part(fields: dict[bytes, bytes]) -> Part:
    return Part(int(fields[b"at"]), fields.get(b"content", b""), b"last" in fields)
