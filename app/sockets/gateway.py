"""The gateway's sockets: bare objects, at once on connect and then as they come; nobody has to ask for anything."""

from __future__ import annotations

import math
from typing import Any

from flask import g

from app import context
from app.api.gateway_system import collect
from app.http.access import OPERATOR, SIGNED_IN
from app.sockets import frames
from app.sockets.feeds import Clock, conversation, socket
from models import log_stream
from models.base import iso, utc_now

SYSTEM_SECONDS = 2.0
# Lines from before that are shown first.
LINES = 50


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
