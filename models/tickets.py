"""Tickets: a browser, which cannot set headers on a websocket, gets in with one, once."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict

import redis

from models import redis_keys
from models.accounts import Caller


def issue(client: redis.Redis, caller: Caller) -> str:
    """A ticket that stands for the caller, once, for ``redis_keys.TICKET_SECONDS``."""
    ticket = secrets.token_urlsafe(32)
    client.set(_key(ticket), json.dumps(asdict(caller)), ex=redis_keys.TICKET_SECONDS)
    return ticket


def redeem(client: redis.Redis, ticket: str) -> Caller | None:
    """Who it stands for; None of one that was used, is too old, or never was."""
    stored = client.getdel(_key(ticket))
    return Caller(**json.loads(stored)) if stored else None


def _key(ticket: str) -> str:
    # Whoever reads the queue's memory or its log gets in with none of them.
    return redis_keys.ticket(hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).hexdigest())
