"""Waiting for a job inside a request: no database session is held, and a client that hung up is noticed."""

from __future__ import annotations

import socket
import time
from typing import Any

from flask import request

from app import context
from app.sockets.hub import News, Subscription
from models.errors import Unavailable
from models.jobs import lifecycle, queries
from models.jobs.tables import ENDED

# How soon a dropped client frees the worker that speaks for it.
PEEK_SECONDS = 0.25
# News may be lost; the row is read this often in any case.
REREAD_SECONDS = 2.0


class ClientGone(Exception):
    """The client hung up; nobody will read the answer."""


def until_ended(job_id: str, subscription: Subscription, *, timeout_seconds: float) -> News:
    """The news that the job has ended; ``subscription`` was opened before the job was submitted.

    Raises:
        ClientGone: the client hung up.
        Unavailable: the job did not end in time.
    """
    database = context.current().database
    gives_up = time.monotonic() + timeout_seconds
    reread = time.monotonic() + REREAD_SECONDS
    while time.monotonic() < gives_up:
        news = subscription.get(PEEK_SECONDS)
        if time.monotonic() >= reread:
            reread = time.monotonic() + REREAD_SECONDS
            with database.reading() as session:
                news = lifecycle.summary(queries.get(session, job_id))
        if news is not None and news["id"] == job_id and news["state"] in ENDED:
            return news
        if news is None and client_gone():
            raise ClientGone
    raise Unavailable(f"Job {job_id} did not end within {timeout_seconds:g} s.", retry_after_seconds=5)


def client_gone() -> bool:
    """Whether the client closed its connection; WSGI does not tell, so its socket is looked at without reading."""
    connection = request.environ.get("gunicorn.socket")
    if connection is None:
        return False
    # gevent's socket would wait cooperatively; the one inside answers at once.
    inner: Any = getattr(connection, "_sock", connection)
    try:
        return not inner.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
