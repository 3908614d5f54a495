"""Signed paths: a path that opens itself for a while, for whatever cannot send a header (an ``<audio>`` element)."""

from __future__ import annotations

from itsdangerous import BadSignature, URLSafeTimedSerializer

from models.accounts import Caller

# As long as a task can be in somebody's hands (models/transcription/assigning.py).
SECONDS = 3600


def signature(secret_key: str, path: str, *, agent_id: int) -> str:
    """What opens ``path``, and no other, to that transcriber, as ``?signature=``, for ``SECONDS``."""
    return _serializer(secret_key).dumps([path, agent_id])


def caller(secret_key: str, path: str, given: str) -> Caller | None:
    """For whom the path was signed; None where it was not, or too long ago."""
    try:
        signed_path, agent_id = _serializer(secret_key).loads(given, max_age=SECONDS)
    except (BadSignature, ValueError, TypeError):
        return None
    return Caller(None, f"agent {agent_id}", "agent", agent_id=agent_id) if signed_path == path else None


def _serializer(secret_key: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret_key, salt="signed-path")
