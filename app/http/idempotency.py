"""``Idempotency-Key``: a POST that is sent again is answered again, and does nothing a second time."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from flask import Response, g, make_response, request
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import context
from models import idempotency
from models.errors import Conflict, Invalid
from models.idempotency import Claim, IdempotentAnswer

log = logging.getLogger(__name__)

_KEY = re.compile(r"[\x20-\x7e]{1,255}")
# Beyond the wait for live speech, the longest there is, everything that an answer does takes seconds.
_MARGIN_SECONDS = 60


def once(view: Callable[[], Any]) -> Any:
    """What ``view`` answers, or what it answered when the request came with its key before.

    Without a key in the request it costs a look at its headers. Only answers below 400 are kept: a request that was
    refused or failed has stored nothing, and may be tried again. JSON is kept whole; of audio only that it was given,
    since its text is in the cache by then.

    Raises:
        Invalid: the key is malformed, or was used for another request.
        StillAnswering: the first request with the key has not been answered yet.
        RequestEntityTooLarge: the body is beyond what may be sent; it is not read.
    """
    # Of its environment: the headers of a request are an object that has to be made.
    key = request.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is None or request.method != "POST":
        return view()
    if not _KEY.fullmatch(key):
        raise Invalid(f"Idempotency-Key: {key[:60]!r} is not 1 to 255 printable ASCII characters")
    here = context.current()
    # Not waited for: whatever the view stores durably comes after it in Postgres' log, and takes it along.
    with here.database.transaction(durable=False) as session:
        found = idempotency.claim(
            session,
            account_id=_whose(),
            key=key,
            digest=_digest(),
            dead_after_seconds=here.settings.live_wait_seconds + _MARGIN_SECONDS,
        )
    return _first(found, view) if isinstance(found, Claim) else _again(found, view)


def _first(claimed: Claim, view: Callable[[], Any]) -> Response:
    good = False
    try:
        response = make_response(view())
        good = response.status_code < 400
    finally:
        if not good:
            # What cannot be dropped now is taken over when nobody can be at work under it.
            with suppress(SQLAlchemyError), context.current().database.transaction(durable=False) as session:
                idempotency.drop(session, claimed)
    if good:
        _keep(claimed, response)
    return response


def _keep(claimed: Claim, response: Response) -> None:
    body = _cipher(claimed.key).encrypt(response.get_data()) if _is_whole(response) else None

    def write(session: Session) -> None:
        idempotency.keep(
            session,
            claimed,
            status=response.status_code,
            media_type=response.mimetype,
            location=response.headers.get("Location"),
            body=body,
        )

    try:
        context.current().database.persist(write)
    except SQLAlchemyError as fault:
        # What was asked for is done, so that it is answered: only a repetition will have to wait.
        log.warning("The answer under Idempotency-Key %r was not kept: %s", claimed.key, fault)


def _again(known: IdempotentAnswer, view: Callable[[], Any]) -> Response:
    if known.body is None:
        response = make_response(view())
    else:
        try:
            body = _cipher(known.key).decrypt(known.body)
        except InvalidToken:
            raise Conflict(
                f"The answer under Idempotency-Key {known.key!r} was kept under another SECRET_KEY."
            ) from None
        response = Response(body, status=known.status, mimetype=known.media_type)
        if known.location is not None:
            response.headers["Location"] = known.location
    response.headers["Idempotent-Replay"] = "true"
    return response


def _is_whole(response: Response) -> bool:
    """Whether the answer is kept: JSON, or nothing at all; no files, no streams."""
    return not response.is_streamed and (response.is_json or not response.get_data())


def _digest() -> str:
    """What two requests have in common that are the same: who may do what, where, and every byte of what is asked."""
    # Kept with the request: the view's own parser finds it there. A body that is too long is refused unread.
    body = request.get_data(cache=True)
    boundary = request.mimetype_params.get("boundary", "")
    if boundary and request.mimetype.startswith("multipart/"):
        # Made up anew by most clients each time that they send a form.
        body = body.replace(boundary.encode(), b"")
    said = "\0".join((g.caller.role, request.method, request.full_path)).encode()
    return hashlib.sha256(said + b"\0" + body).hexdigest()


def _cipher(key: str) -> Fernet:
    """Answers may hold secrets that are shown once, such as a new API key: they are not stored to be read."""
    secret = context.current().settings.secret_key
    material = "\0".join(("idempotency", _whose(), key, secret))
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(material.encode()).digest()))


def _whose() -> str:
    """Whose keys they are: an account's; where an account has keys of several transcribers, each one's own."""
    caller = g.caller
    return (caller.account_id or "") + ("" if caller.agent_id is None else f" agent {caller.agent_id}")
