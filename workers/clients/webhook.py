"""One message to somebody's server: signed, to a public address, never on to another, over within ten seconds."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import threading
import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import requests
import urllib3

from config.versions import VERSION
from workers.clients import hardened

# For all of a request. A receiver that thinks for longer puts it into a queue of its own, as it should.
WHOLE_SECONDS = 10.0
# A server that does not take a connection within 5 s is down.
_CONNECT_SECONDS = 5.0
# What says when to come back.
_BUSY = (429, 503)


@dataclass(frozen=True)
class Answer:
    """What a receiver said (``status``), or what kept it from saying anything (``error``, a sentence)."""

    status: int | None
    error: str | None
    took_ms: int
    retry_after_seconds: float | None = None


def signature(key: str, timestamp: str, body: bytes) -> str:
    """What ``X-Voiceworks-Signature`` holds: the HMAC of the time and of the body, byte for byte."""
    signed = f"{timestamp}.".encode() + body
    return f"sha256={hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()}"


def send(url: str, payload: dict[str, Any], *, delivery_id: str, key: str, allow_private: bool) -> Answer:
    """The receiver's answer to ``payload``, whose ``event`` is told in a header, too.

    ``delivery_id`` is the same in each attempt, for a receiver that must not do a thing twice.
    """
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"Voiceworks/{VERSION}",
        "X-Voiceworks-Event": str(payload["event"]),
        "X-Voiceworks-Delivery": delivery_id,
        "X-Voiceworks-Timestamp": timestamp,
        "X-Voiceworks-Signature": signature(key, timestamp, body),
    }
    began = time.monotonic()
    status = error = pause = None
    late = threading.Event()
    timeouts = (_CONNECT_SECONDS, WHOLE_SECONDS)
    with (
        hardened.session(allow_private=allow_private, timeout_seconds=timeouts) as (session, connections),
        hardened.cut_when_late(connections, late, WHOLE_SECONDS),
    ):
        try:
            # What is said beside the status is not read: it is nobody's, and may be endless.
            with session.post(url, data=body, headers=headers, stream=True) as response:
                status = response.status_code
                pause = _pause(response) if status in _BUSY else None
        # ValueError of a name that cannot be looked up, and of a connection that was cut while it was read.
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as fault:
            error = f"No answer within {WHOLE_SECONDS:g} s." if late.is_set() else _sentence(fault)
    if status is not None and 300 <= status < 400:
        error = "It answered with a redirect, which is not followed."
    return Answer(status, error, round((time.monotonic() - began) * 1000), pause)


def _pause(response: requests.Response) -> float | None:
    """The seconds of ``Retry-After``, a number or a date; None without one that can be read."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    # OverflowError of a zone that is further away than a number can say.
    except (ValueError, OverflowError):
        return None
    # A date without a zone is in UTC (RFC 9110, section 5.6.7).
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, math.ceil(aware.timestamp() - time.time()))


def _sentence(fault: Exception) -> str:
    """What went wrong, for whoever set the receiver up; nothing of our own network."""
    sentences = {
        "private": "Its address is private, which only WEBHOOK_ALLOW_PRIVATE=1 allows.",
        "timeout": f"No answer within {WHOLE_SECONDS:g} s.",
        "insecure": "No secure connection: its certificate was not accepted, or it does not speak TLS.",
        "unknown": "Its name was not found.",
        "refused": "It refused the connection.",
    }
    return sentences.get(hardened.reason(fault) or "", "The connection failed.")
