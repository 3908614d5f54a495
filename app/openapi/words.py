"""What is said about the whole API, its surfaces, and what stands in its paths."""

from __future__ import annotations

from app.surfaces import ADMINISTRATION, GATEWAY, MANAGEMENT, OPENAI, SHARED, TRANSCRIPTION, WAKEWORDS, Surface

# In the order in which they are shown.
TITLES = {
    MANAGEMENT: "Management",
    OPENAI: "OpenAI's speech API",
    GATEWAY: "Gateway",
    ADMINISTRATION: "Administration",
    WAKEWORDS: "Wake words",
    TRANSCRIPTION: "Transcription",
    SHARED: "Shared routes",
}
_PURPOSES = {
    MANAGEMENT: "Courses, speech, jobs, sessions and accounts, for course apps and operations consoles.",
    OPENAI: "What every speech client already speaks.",
    GATEWAY: "Services, groups, tools and fine-tuning, for a home lab's administration and chat front ends.",
    ADMINISTRATION: "Metrics, resources, errors and cleaning up, for dashboards and cron.",
    WAKEWORDS: "Recordings in, detectors of a word out.",
    TRANSCRIPTION: "Audio in, paid human transcripts out, for transcribers' apps.",
    SHARED: "Routes that several surfaces know by the same path.",
}

DESCRIPTION = """\
Courses go in, spoken lessons come out; recordings go in, wake-word detectors come out; audio goes in, human
transcripts come out. Everything slow is a job on a queue: it is listed under `/api/jobs`, and watched over a websocket.

**Surfaces.** The API is several documents in one server. Each is a *surface* with a port and a way of refusing of its
own; every port serves every route. `x-surface` names an operation's.

**Credentials.** `Authorization: Bearer` with a token of `POST /api/auth/login`, or `X-API-Key`; both open the same.
What an operation says about roles counts for the account (or the key) behind the credential.

**Conventions.** Times are ISO 8601 in UTC with `Z`; durations are seconds. Lists take `limit` and `offset`, or
`cursor`. Unknown fields of a body are refused where the schema says so. Where requests are counted, answers carry
`RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`.
"""

_IN_PATHS = {
    "key": "The key of a clip, as `Content-Location` shows it",
    "extension": "The audio format, as the ending of a file",
    "model": "The name of a model, as `GET /v1/models` lists it",
    "name": "The name",
    "path": "Where the image lay in what was imported",
}


def surface_tag(surface: Surface) -> str:
    """The tag under which a surface is described."""
    return f"{surface.name}-surface"


def about(surface: Surface) -> str:
    """A surface: what it is for, and its manners."""
    port = f"Documented port: {surface.port}. " if surface.port else ""
    status = f"What is not valid is answered {surface.validation_status}." if surface is not SHARED else ""
    return f"{_PURPOSES[surface]} {port}{status}".strip()


def path_parameter(name: str) -> str:
    """What a part of a path is."""
    if name in _IN_PATHS:
        return _IN_PATHS[name]
    thing, _, is_id = name.rpartition("_")
    return f"The id of the {thing.replace('_', ' ')}" if thing and is_id == "id" else f"The {name.replace('_', ' ')}"
