"""One message to somebody's server: signed, to a public address, never on to another, over within ten seconds."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests_hardened import Config, HTTPSession
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter

from config.versions import VERSION

# For all of a request. A receiver that thinks for longer puts it into a queue of its own, as it should.
WHOLE_SECONDS = 10.0
# A server that does not take a connection within 5 s is down.
_CONNECT_SECONDS = 5.0
# How soon a connection that came about too late is cut.
_CUT_SECONDS = 0.2
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
    with _session(allow_private) as (session, connections), _cut_when_late(connections, late):
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


class _Noting(HTTPAdapter):
    """Notes its connections, so that they can be cut: a timeout of ``requests`` begins anew with every byte."""

    def __init__(self, connections: list[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._connections = connections

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """The pool of a request, whose connections are noted."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        make = pool.ConnectionCls

        def noted(*args: Any, **kwargs: Any) -> Any:
            connection = make(*args, **kwargs)
            self._connections.append(connection)
            return connection

        pool.ConnectionCls = noted
        return pool


class _NotingFilter(_Noting, IPFilterAdapter):
    """Looks a name up once, refuses it if its address is private, and connects to that address and no other."""


class _Session(HTTPSession):  # type: ignore[misc]
    """Of a redirect, too, only the status is read."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: where it leads is nobody's, and to find that out ``requests`` would read an endless body into memory."""


@contextmanager
def _session(allow_private: bool) -> Iterator[tuple[requests.Session, list[Any]]]:
    """A session for one request, and the list that its connections come into."""
    connections: list[Any] = []
    config = Config(
        ip_filter_enable=not allow_private,
        ip_filter_allow_loopback_ips=False,
        never_redirect=True,
        default_timeout=(_CONNECT_SECONDS, WHOLE_SECONDS),
    )
    with _Session(config) as session:
        # No proxy, which would look the name up by itself, and nothing of a ~/.netrc.
        session.trust_env = False
        for scheme in ("http", "https"):
            adapter = (
                _Noting(connections) if allow_private else _NotingFilter(connections, is_https_proto=scheme == "https")
            )
            session.mount(f"{scheme}://", adapter)
        yield session, connections


@contextmanager
def _cut_when_late(connections: list[Any], late: threading.Event) -> Iterator[None]:
    """Cuts the connections when the block takes too long, and says so by ``late``."""
    done = threading.Event()

    def watch() -> None:
        if done.wait(WHOLE_SECONDS):
            return
        late.set()
        while not done.wait(_CUT_SECONDS):
            for connection in list(connections):
                # While TLS is being agreed on there is none to cut; that ends by its own timeout.
                with suppress(OSError, AttributeError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=watch, name="webhook deadline", daemon=True).start()
    try:
        yield
    finally:
        done.set()


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
    if isinstance(fault, InvalidIPAddress):
        return "Its address is private, which only WEBHOOK_ALLOW_PRIVATE=1 allows."
    if isinstance(fault, requests.Timeout):
        return f"No answer within {WHOLE_SECONDS:g} s."
    if isinstance(fault, requests.exceptions.SSLError):
        return "No secure connection: its certificate was not accepted, or it does not speak TLS."
    cause: BaseException | None = fault
    while cause is not None:
        if isinstance(cause, socket.gaierror | UnicodeError):
            return "Its name was not found."
        if isinstance(cause, ConnectionRefusedError):
            return "It refused the connection."
        cause = cause.__cause__ or cause.__context__
    return "The connection failed."
