"""Calls that may destroy something are made twice: the first is answered with a token, good for the second."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from itsdangerous import BadSignature, URLSafeTimedSerializer
from redis import Redis

from models import redis_keys
from models.base import new_id

# As long as somebody thinks about it.
SECONDS = 300


def token(secret_key: str, what: list[Any]) -> str:
    """What confirms ``what``, and nothing else, once."""
    return str(_serializer(secret_key).dumps([_digest(what), new_id()]))


def confirmed(secret_key: str, client: Redis, given: str, what: list[Any]) -> bool:
    """Whether ``given`` confirms ``what``; it does so once."""
    try:
        digest, number = _serializer(secret_key).loads(given, max_age=SECONDS)
    except (BadSignature, ValueError, TypeError):
        return False
    if digest != _digest(what):
        return False
    return bool(client.set(redis_keys.confirmed(number), 1, nx=True, ex=SECONDS))


def _digest(what: list[Any]) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _serializer(secret_key: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret_key, salt="tool-confirmation")
