"""The gateway's sockets: bare objects, at once on connect and then as they come; nobody has to ask for anything."""

from __future__ import annotations

import itertools
import math
from typing import Any

from flask import g

from app import context
from app.api.gateway_system import collect
from app.finetuning import progress_of
from app.http.access import OPERATOR, SIGNED_IN
from app.sockets import frames
from app.sockets.feeds import UNKNOWN, Clock, conversation, socket
from models import log_stream
from models.base import iso, utc_now
from models.errors import NotFound
from models.llm import sessions

SYSTEM_SECONDS = 2.0
# Lines from before that are shown first.
LINES = 50
_ENDED = ("completed", "failed", "cancelled")


@socket("/ws/system", allowed=SIGNED_IN, surface="gateway")
def system(ws: Any) -> None:
    """How busy the machine is and how its services are, every two seconds."""
    here = context.current()
    with here.hub.subscribed(wanted=lambda news: False) as subscription:
        frames.send(ws, _figures(here))
        clock = Clock(SYSTEM_SECONDS)
        for _ in conversation(ws, subscription, clock, _heard):
            if clock.strikes():
                frames.send(ws, _figures(here))


@socket("/ws/logs", allowed=OPERATOR, surface="gateway")
def logs(ws: Any) -> None:
    """What every process logs: the latest lines first, then each as it is written."""
    here = context.current()
    with here.hub.subscribed(wanted=lambda news: False, chatter=True) as subscription:
        recent = log_stream.recent(here.redis, limit=LINES)[::-1]
        frames.send(ws, *map(frames.bare, recent or [_opening()]))
        for batch in conversation(ws, subscription, Clock(math.inf), _heard):
            if lines := [line for news in batch for line in news["lines"]]:
                frames.send(ws, *map(frames.bare, lines))


@socket("/ws/training/<session_id>", allowed=OPERATOR, surface="gateway")
def training(ws: Any, session_id: str) -> None:
    """How far a training session is: at once, on each change, and every two seconds; closed when it has ended."""
    here = context.current()
    with here.hub.subscribed(session_id) as subscription:
        told: dict[str, Any] = {}
        clock = Clock(SYSTEM_SECONDS)
        for _ in itertools.chain([[]], conversation(ws, subscription, clock, _heard)):
            clock.strikes()
            try:
                with here.database.snapshot() as session:
                    now = progress_of(session, sessions.get(session, session_id, visible_to=None))
            except NotFound as fault:
                ws.close(UNKNOWN, fault.message[:120])
                return
            if now != told:
                told = now
                frames.send(ws, frames.bare(now))
            if now["status"] in _ENDED:
                ws.close(1000, "The training has ended.")
                return


def _figures(here: context.Context) -> bytes:
    return frames.bare(collect(here) | {"timestamp": iso(utc_now())})


def _opening() -> dict[str, Any]:
    """A line for whoever would otherwise see nothing, and not know whether there is nothing."""
    return {
        "timestamp": iso(utc_now()),
        "level": "INFO",
        "logger": __name__,
        "message": "Nothing was logged lately; lines follow as they are written.",
        "request_id": g.request_id,
        "job_id": None,
    }


def _heard(ws: Any, said: str | bytes) -> None:
    """Nothing is expected of the client."""
