"""How each surface refuses, in the API's description: one schema a shape, and the statuses that a route can give."""

from __future__ import annotations

from typing import Any

from app.openapi.shapes import shape
from app.surfaces import ADMINISTRATION, GATEWAY, MANAGEMENT, OPENAI, SHARED, TRANSCRIPTION, WAKEWORDS, Surface

Spec = dict[str, Any]

# Administration refuses as management does.
_SCHEMAS = {
    MANAGEMENT: "ManagementError",
    ADMINISTRATION: "ManagementError",
    GATEWAY: "GatewayError",
    WAKEWORDS: "WakewordsError",
    TRANSCRIPTION: "TranscriptionError",
    OPENAI: "OpenAIError",
    SHARED: "SharedError",
}
# A shared route refuses in the shape of the surface whose port was asked, and elsewhere in one that all can read.
_OF_A_PORT = ("ManagementError", "GatewayError", "WakewordsError", "TranscriptionError")

_REASONS = {
    400: "The request is not valid; the message names the field and the value",
    401: "No credential, or one that opens nothing",
    403: "The credential's role may not do this",
    404: "There is no such thing, or it is somebody else's",
    409: "The state of the thing forbids it; the message names the state",
    413: "The body is too large",
    415: "The body is something else than is taken here",
    416: "The range lies outside the file",
    422: "The request is not valid; the message names the field and the value",
    429: "Too many requests; `Retry-After` says when to come back",
    502: "A service behind this one failed",
    503: "Nothing is there to do it at the moment; `Retry-After` says when to come back",
}
_CODES = {
    400: "validation_error",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    413: "payload_too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "validation_error",
    429: "rate_limited",
    503: "unavailable",
}
_OTHERWISE = "Any other error: 500, or 503 while the database is away"
_HEADERS = {
    401: {"WWW-Authenticate": {"description": "`Bearer`", "schema": {"type": "string"}}},
    429: {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}},
    503: {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}},
}


def error_schemas() -> Spec:
    """The components: what each surface's own function makes of an error is what is described."""
    found: Spec = {}
    for surface, name in _SCHEMAS.items():
        # With and without a field that is to blame, as some shapes name it.
        bodies = [
            surface.error_body("validation_error", "text: it is empty", {"fields": {"text": ["it is empty"]}}),
            surface.error_body("not_found", "There is no such thing.", {}),
        ]
        schema = shape(bodies)
        _open_details(schema)
        found.setdefault(name, schema)
    found["PlainError"] = found["SharedError"]
    found["SharedError"] = {
        "description": "In the shape of the surface to whose port the request came; elsewhere one that all can read",
        "anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in (*_OF_A_PORT, "PlainError")],
    }
    return found


def _open_details(schema: Spec) -> None:
    """Details are other ones with each error."""
    if "details" in schema["properties"]:
        schema["properties"]["details"] = {"type": "object", "description": "More, by the kind of error"}


def refusals(
    surface: Surface,
    *,
    takes_arguments: bool,
    takes_a_body: bool,
    guarded: bool,
    named: bool,
    limited: bool,
    more: tuple[int, ...],
) -> Spec:
    """The responses of a route that are errors, by status.

    Args:
        surface: Whose shape they have.
        takes_arguments: It has a body or a query string that may be wrong.
        takes_a_body: It has a body, which may be too large.
        guarded: It takes a credential.
        named: Its path names something, which may not be there.
        limited: There may be too many requests.
        more: Statuses that the route itself declares.
    """
    statuses = set(more)
    if takes_arguments:
        statuses |= {surface.validation_status} | ({GATEWAY.validation_status} if surface is SHARED else set())
    statuses |= {413} if takes_a_body else set()
    statuses |= {401, 403} if guarded else set()
    statuses |= {404} if named else set()
    statuses |= {429} if limited else set()
    found = {str(status): _refusal(surface, status) for status in sorted(statuses)}
    return found | {"default": _refusal(surface, None)}


def _refusal(surface: Surface, status: int | None) -> Spec:
    content: Spec = {"schema": {"$ref": f"#/components/schemas/{_SCHEMAS[surface]}"}}
    if status is None:
        return {"description": _OTHERWISE, "content": {"application/json": content}}
    reason = _REASONS.get(status, "It was refused")
    if status in _CODES and surface is not SHARED:
        body = surface.error_body(_CODES[status], reason.partition(";")[0], {})
        content["example"] = body | ({"timestamp": "2026-01-15T02:00:00Z"} if "timestamp" in body else {})
    found: Spec = {"description": reason, "content": {"application/json": content}}
    return found | ({"headers": _HEADERS[status]} if status in _HEADERS else {})
