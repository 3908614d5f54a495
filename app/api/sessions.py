"""Sessions: where somebody is in a course; ``/ws/audio`` plays one (``app.sockets.audio``)."""

from __future__ import annotations

from typing import Any

from flask import g
from marshmallow import fields

from app import context
from app.http.access import CLIENT, OWN, OWN_LISTED, visible_to
from app.http.answers import MESSAGE, Answer, Shown, page_of
from app.http.parsing import MAX_INTEGER, Flag, Number, Paging, Text, Voiced, Whole, one_of
from app.speaking import MAX_SPEED, MIN_SPEED
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from models import sessions, speech_voices
from models.base import iso
from models.sessions import PlaybackSession

blueprint = SurfaceBlueprint("sessions", surface=MANAGEMENT, description="Where somebody is in a course")

# A year of listening: whatever is beyond it is no position.
MAX_POSITION_SECONDS = 366 * 86400.0


class ChangedSession(Voiced):
    """What may change while somebody listens."""

    user_id = Text(allow_none=True, maximum=500)
    curriculum_id = Text(allow_none=True, maximum=200)
    topic_id = Text(allow_none=True, maximum=200)
    voice_id = Text(allow_none=True, maximum=100)
    provider = Text(allow_none=True, maximum=100)
    speed = Number(MIN_SPEED, MAX_SPEED)
    segment_index = Whole(0, MAX_INTEGER)
    offset_ms = Whole(0, MAX_INTEGER)
    playback_position = Number(0.0, MAX_POSITION_SECONDS)
    is_playing = Flag()
    config = fields.Dict(keys=fields.String())


class NewSession(ChangedSession):
    """Who listens to what."""


class SessionList(Paging):
    """Which sessions."""

    user_id = Text(load_default=None, maximum=500)
    status = Text(load_default=None, maximum=10, validate=one_of(["active", "ended"]))


class SessionShown(Shown):
    """A session."""

    id = fields.String()
    user_id = fields.String(allow_none=True)
    curriculum_id = fields.String(allow_none=True)
    topic_id = fields.String(allow_none=True)
    status = fields.String(validate=one_of(["active", "ended"]))
    segment_index = fields.Integer()
    offset_ms = fields.Integer()
    playback_position = fields.Float()
    is_playing = fields.Boolean()
    voice_id = fields.String(allow_none=True)
    provider = fields.String(allow_none=True)
    speed = fields.Float()
    config = fields.Dict()
    created_at = fields.DateTime()
    updated_at = fields.DateTime()
    ended_at = fields.DateTime(allow_none=True)


SESSION = Answer(schema=SessionShown)


@blueprint.endpoint("/api/sessions", access=CLIENT, whose=OWN_LISTED, answers={200: page_of("sessions", SessionShown)})
@blueprint.arguments(SessionList, location="query")
def list_sessions(query: dict[str, Any]) -> dict[str, Any]:
    """The newest sessions first: one's own; administrators and operators see everybody's."""
    status, limit, offset = query["status"], query["limit"], query["offset"]
    with context.current().database.transaction(durable=False) as session:
        found, total = sessions.page(
            session,
            visible_to=visible_to(g.caller),
            user_id=query["user_id"],
            ended=None if status is None else status == "ended",
            limit=limit,
            offset=offset,
        )
    return {"sessions": [shown(row) for row in found], "total": total, "limit": limit, "offset": offset}


@blueprint.endpoint("/api/sessions", access=CLIENT, methods=("POST",), answers={201: SESSION}, refuses=(404,))
@blueprint.arguments(NewSession)
def create_session(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """A new session, at its beginning unless the body says otherwise."""
    _refuse_unknown_voice(body)
    with context.current().database.transaction() as session:
        return shown(sessions.create(session, account_id=g.caller.account_id, **body)), 201


@blueprint.endpoint("/api/sessions/<session_id>", access=CLIENT, whose=OWN, answers={200: SESSION})
def get_session(session_id: str) -> dict[str, Any]:
    """One session."""
    with context.current().database.transaction(durable=False) as session:
        return shown(sessions.get(session, session_id, visible_to=visible_to(g.caller)))


@blueprint.endpoint(
    "/api/sessions/<session_id>", access=CLIENT, whose=OWN, methods=("PATCH",), answers={200: SESSION}, refuses=(409,)
)
@blueprint.arguments(ChangedSession)
def change_session(body: dict[str, Any], session_id: str) -> dict[str, Any]:
    """Changes what the body names; a session that has ended stays as it is."""
    _refuse_unknown_voice(body)
    with context.current().database.transaction() as session:
        sessions.get(session, session_id, visible_to=visible_to(g.caller))
        return shown(sessions.change(session, session_id, body))


@blueprint.endpoint("/api/sessions/<session_id>", access=CLIENT, whose=OWN, methods=("DELETE",), answers={200: MESSAGE})
def end_session(session_id: str) -> dict[str, Any]:
    """Ends a session; its row stays, to be looked at."""
    with context.current().database.transaction() as session:
        sessions.get(session, session_id, visible_to=visible_to(g.caller))
        sessions.end(session, session_id)
    return {"message": f"Session {session_id} has ended."}


def shown(row: PlaybackSession) -> dict[str, Any]:
    """A session as it is shown."""
    return {
        "id": row.id,
        "user_id": row.user_id,
        "curriculum_id": row.curriculum_id,
        "topic_id": row.topic_id,
        "status": "active" if row.ended_at is None else "ended",
        "segment_index": row.segment_index,
        "offset_ms": row.offset_ms,
        "playback_position": row.playback_position,
        "is_playing": row.is_playing,
        "voice_id": row.voice_id,
        "provider": row.provider,
        "speed": row.speed,
        "config": row.config,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
        "ended_at": iso(row.ended_at),
    }


def _refuse_unknown_voice(body: dict[str, Any]) -> None:
    """Raises Invalid for a voice or provider that nobody knows; one that nobody speaks now may come back."""
    if body.get("voice_id") or body.get("provider"):
        speech_voices.resolve(context.current().engines(None), body.get("voice_id"), body.get("provider"))
