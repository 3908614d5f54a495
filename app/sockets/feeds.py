"""The documented sockets: ``/ws`` for everything the caller may see, ``/ws/jobs/{id}`` for one job."""

from __future__ import annotations

import itertools
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, cast

import redis
from flask import Blueprint, g, request
from flask_sock import Sock
from simple_websocket import ConnectionClosed
from sqlalchemy.exc import SQLAlchemyError

from app import context
from app.api.health import collect_stats
from app.http import access, recording
from app.http.access import CLIENT, OWN, OWN_LISTED, Access, Forbidden, Unauthorized, Whose, visible_to
from app.sockets import frames
from app.sockets.frames import frame
from app.sockets.hub import News, Subscription
from app.sockets.subscription import TooSlow
from models.base import iso, new_id, utc_now
from models.errors import NotFound
from models.jobs import queries
from models.jobs.announcing import summary
from models.jobs.tables import ENDED

log = logging.getLogger(__name__)
blueprint = Blueprint("sockets", __name__)
sock = Sock()

UNAUTHORIZED, FORBIDDEN, UNKNOWN, TOO_MANY = 4401, 4403, 4404, 4429
# As the protocol has it.
TRY_AGAIN = 1013
STATS_SECONDS = 5.0
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


def socket(rule: str, *, allowed: Access, surface: str = "management", whose: Whose | None = None) -> Any:
    """Declares a websocket and who may open it; a refusal is a close code, because browsers hide a status.

    ``surface`` is the one whose openness counts, ``whose`` as for a route (``SurfaceBlueprint.endpoint``).
    """

    def declare(feed: Any) -> Any:
        def run(ws: Any, **kwargs: Any) -> None:
            here = context.current()
            ws.sock = WholeSends(ws.sock)
            recording.watch_closing(ws)
            # Whoever is gone is told nothing.
            with suppress(ConnectionClosed, OSError):
                try:
                    if not access.origin_fits():
                        raise Forbidden("This page may not open a socket here.")
                    g.caller = access.authorize(surface, allowed)
                    # Whoever only asks still gets in.
                    if here.hub.clients_connected_here() >= here.settings.sockets_max:
                        ws.close(TOO_MANY, "Too many sockets are open here; try again later.")
                        return
                    account_id = g.caller.account_id
                    if here.hub.sockets_of(account_id) >= here.settings.sockets_max_per_account:
                        ws.close(TOO_MANY, "You have too many sockets open here; close one.")
                        return
                    g.client_id = new_id()
                    with here.hub.connected(g.client_id, account_id):
                        feed(ws, **kwargs)
                except Unauthorized as fault:
                    ws.close(UNAUTHORIZED, str(fault))
                except Forbidden as fault:
                    ws.close(FORBIDDEN, str(fault)[:120])
                except TooSlow:
                    ws.close(TRY_AGAIN, "You read too slowly; connect again.")
                except (SQLAlchemyError, redis.RedisError) as fault:
                    # An answer of HTTP would be written into the socket.
                    log.warning("A socket was closed: %s", fault)
                    ws.close(TRY_AGAIN, "Something is away for now; connect again.")

        run.__name__ = feed.__name__
        run.__doc__ = feed.__doc__
        routed = sock.route(rule, bp=blueprint)(run)
        declared[rule], owned[rule], surfaces[rule] = allowed, whose, surface
        return routed

    return declare


# flask-sock wraps the view beyond recognition; the table of who may use what (app/access_table.py) reads this.
declared: dict[str, Access] = {}
owned: dict[str, Whose | None] = {}
surfaces: dict[str, str] = {}


@blueprint.before_request
def _offer_no_compression() -> None:
    """One frame then serves all sockets; a compressor each would cost 300 KiB a socket and its work for each."""
    request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)


@socket("/ws", allowed=CLIENT, whose=OWN_LISTED)
def everything(ws: Any) -> None:
    """Job events and figures, in the envelope ``{type, data, timestamp}``; ``ping`` is answered by ``pong``.

    Administrators and operators are also told what every process logs, and who comes and goes.
    """
    here = context.current()
    sees = visible_to(g.caller)
    with here.hub.subscribed(
        wanted=lambda news: sees is None or news["account_id"] == sees, chatter=sees is None
    ) as subscription:
        _send(ws, "connected", {"client_id": g.client_id, "server_time": iso(utc_now())})
        frames.send(ws, _figures(here))
        figures = Clock(STATS_SECONDS)
        for batch in conversation(ws, subscription, figures):
            ready = [frames.of_news(news) for news in batch]
            if figures.strikes():
                ready.append(_figures(here))
            if ready:
                frames.send(ws, *ready)


@socket("/ws/jobs/<job_id>", allowed=CLIENT, whose=OWN)
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
        snapshot: News = {"name": "job.snapshot", **summary(job)}
        version = 0
        for batch in itertools.chain([[snapshot]], conversation(ws, subscription, Clock(math.inf))):
            for news in batch:
                if news["version"] > version:
                    version = news["version"]
                    frames.send(ws, frames.of_news(news))
                    if news["state"] in ENDED:
                        ws.close(1000, "The job has ended.")
                        return


class Clock:
    """Strikes every so many seconds, to whoever asks."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until it strikes."""
        return max(0.0, self._due - time.monotonic())

    def strikes(self) -> bool:
        """Whether it does now; then not again for as long."""
        if self.left() > 0:
            return False
        self._due = time.monotonic() + self._seconds
        return True


def conversation(
    ws: Any, subscription: Subscription, clock: Clock, answer: Callable[[Any, str | bytes], None] | None = None
) -> Iterator[list[News]]:
    """News as it comes, none when the clock strikes first, until the client is gone; ``answer``s it in between."""
    answer = answer or _answer
    subscription.caller = g.caller
    threading.Thread(target=_hear, args=(ws, subscription), name="socket-hear", daemon=True).start()
    while True:
        batch = subscription.take(min(clock.left(), STATS_SECONDS))
        for news in batch:
            if "said" in news:
                if news["said"] is None:
                    if "code" in news:
                        ws.close(news["code"], news["why"])
                    return
                answer(ws, news["said"])
        yield [news for news in batch if "said" not in news]


def _hear(ws: Any, subscription: Subscription) -> None:
    """Puts what the client says into the same queue as the news, so that nobody has to poll for either."""
    try:
        while True:
            subscription.put({"said": ws.receive()})
    except ConnectionClosed:
        subscription.put({"said": None})


def _figures(here: context.Context) -> bytes:
    """The present figures as a frame, the same for everybody within a second; nothing while they cannot be had."""
    try:
        return cast(bytes, here.hub.figures(lambda: {"frame": frame("stats_update", collect_stats(here))})["frame"])
    except (SQLAlchemyError, redis.RedisError) as fault:
        log.warning("There are no figures for now: %s", fault)
        return b""


def _send(ws: Any, kind: str, data: dict[str, Any]) -> None:
    frames.send(ws, frame(kind, data))


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
