"""The documented sockets: ``/ws`` for everything the caller may see, ``/ws/jobs/{id}`` for one job."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, g, request
from flask_sock import Sock
from simple_websocket import ConnectionClosed

from app import context
from app.api.health import collect_stats
from app.http import access
from app.http.access import CLIENT, Access, Forbidden, Unauthorized, visible_to
from app.sockets.hub import News, Subscription
from models.base import iso, new_id, utc_now
from models.errors import NotFound
from models.jobs import lifecycle, queries
from models.jobs.tables import ENDED

blueprint = Blueprint("sockets", __name__)
sock = Sock()

UNAUTHORIZED, FORBIDDEN, UNKNOWN = 4401, 4403, 4404
STATS_SECONDS = 5.0
# How late figures may be when there is no news to wake us.
TURN_SECONDS = 1.0
# Who takes nothing for so long is gone, or might as well be: half a minute beyond two unanswered pings.
SEND_SECONDS = 80.0
_MAX_MESSAGE_BYTES = 64 * 1024


class WholeSends:
    """A socket whose ``send`` sends everything, one caller at a time, as simple_websocket takes for granted.

    A cooperative socket's own ``send`` takes what fits into its buffer: of a message to a slow reader, a part.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._turn = threading.Lock()
        # Reading is not limited by it: simple_websocket reads only what has arrived.
        sock.settimeout(SEND_SECONDS)

    def send(self, data: bytes) -> int:
        """All of ``data``, or an error after which the socket is of no use."""
        with self._turn:
            self._sock.sendall(data)
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def socket(rule: str, *, allowed: Access) -> Any:
    """Declares a websocket and who may open it; a refusal is a close code, because browsers hide a status."""

    def declare(feed: Any) -> Any:
        def run(ws: Any, **kwargs: Any) -> None:
            here = context.current()
            ws.sock = WholeSends(ws.sock)
            try:
                if not _origin_fits():
                    raise Forbidden("This page may not open a socket here.")
                g.caller = access.authorize("management", allowed)
            except Unauthorized as fault:
                ws.close(UNAUTHORIZED, str(fault))
                return
            except Forbidden as fault:
                ws.close(FORBIDDEN, str(fault)[:120])
                return
            here.hub.sockets += 1
            try:
                feed(ws, **kwargs)
            except (ConnectionClosed, OSError):
                # The client is gone; nobody is left to be told.
                pass
            finally:
                here.hub.sockets -= 1

        run.__name__ = feed.__name__
        run.__doc__ = feed.__doc__
        routed = sock.route(rule, bp=blueprint)(run)
        declared[rule] = allowed
        return routed

    return declare


# flask-sock wraps the view beyond recognition; the test of declared access reads this.
declared: dict[str, Access] = {}


@socket("/ws", allowed=CLIENT)
def everything(ws: Any) -> None:
    """Job events and figures, in the envelope ``{type, data, timestamp}``; ``ping`` is answered by ``pong``."""
    here = context.current()
    sees = visible_to(g.caller)
    with here.hub.subscribed(wanted=lambda news: sees is None or news["account_id"] == sees) as subscription:
        _send(ws, "connected", {"client_id": new_id(), "server_time": iso(utc_now())})
        _send(ws, "stats_update", here.hub.figures(lambda: collect_stats(here)))
        stats_due = time.monotonic() + STATS_SECONDS
        for news in _conversation(ws, subscription, TURN_SECONDS):
            if news is not None:
                _send(ws, news["name"], _public(news))
            if time.monotonic() >= stats_due:
                stats_due = time.monotonic() + STATS_SECONDS
                _send(ws, "stats_update", here.hub.figures(lambda: collect_stats(here)))


@socket("/ws/jobs/<job_id>", allowed=CLIENT)
def one_job(ws: Any, job_id: str) -> None:
    """A snapshot of one job, then its events with rising versions; closed when the job has ended."""
    here = context.current()
    with here.hub.subscribed(job_id) as subscription:
        try:
            with here.database.transaction(durable=False) as session:
                job = queries.get(session, job_id, visible_to=visible_to(g.caller))
        except NotFound as fault:
            ws.close(UNKNOWN, fault.message[:120])
            return
        snapshot = {"name": "job.snapshot", **lifecycle.summary(job)}
        version = 0
        for news in itertools.chain([snapshot], _conversation(ws, subscription, TURN_SECONDS)):
            if news is None or news["version"] <= version:
                continue
            version = news["version"]
            _send(ws, news["name"], _public(news))
            if news["state"] in ENDED:
                ws.close(1000, "The job has ended.")
                return


def _conversation(ws: Any, subscription: Subscription, turn_seconds: float) -> Iterator[News | None]:
    """News in order, None when there was none for a turn, until the client is gone; answers the client in between."""
    threading.Thread(target=_hear, args=(ws, subscription), name="socket-hear", daemon=True).start()
    while True:
        news = subscription.get(turn_seconds)
        if news is None or "said" not in news:
            yield news
        elif news["said"] is None:
            return
        else:
            _answer(ws, news["said"])


def _hear(ws: Any, subscription: Subscription) -> None:
    """Puts what the client says into the same queue as the news, so that nobody has to poll for either."""
    try:
        while True:
            subscription.put({"said": ws.receive()})
    except ConnectionClosed:
        subscription.put({"said": None})


def _public(news: News) -> News:
    return {name: value for name, value in news.items() if name not in ("name", "account_id", "result")}


def _send(ws: Any, kind: str, data: dict[str, Any]) -> None:
    ws.send(json.dumps({"type": kind, "data": data, "timestamp": iso(utc_now())}))


def _answer(ws: Any, said: str | bytes) -> None:
    if not isinstance(said, str) or len(said) > _MAX_MESSAGE_BYTES:
        _send(ws, "error", {"error": "Text messages of at most 64 KiB are expected."})
        return
    try:
        message = json.loads(said)
        kind = message["type"] if isinstance(message, dict) else None
    except (ValueError, KeyError, RecursionError):
        kind = None
    if kind == "ping":
        _send(ws, "pong", {})
    else:
        _send(ws, "error", {"error": f"Unknown message type {kind!r:.60}."})


def _origin_fits() -> bool:
    """Whether a browser's page may open a socket: ours, or none (a program)."""
    origin = request.headers.get("Origin")
    return origin is None or origin.split("://")[-1] == request.host
