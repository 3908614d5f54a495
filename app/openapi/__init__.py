"""The API's description for programs (OpenAPI 3.1); ``app.docs`` serves it, and the pages that show it to people."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any

import flask_smorest
from apispec.ext.marshmallow import MarshmallowPlugin, resolver
from flask import Flask

from app.openapi.description import describe
from app.openapi.shapes import Spec

_EXTENSION = "voiceworks-openapi"


def make_api(app: Flask) -> flask_smorest.Api:
    """What the blueprints are registered with, so that ``document`` knows their routes and schemas."""
    plugin = MarshmallowPlugin(schema_name_resolver=_Names().of)
    api = flask_smorest.Api(app, spec_kwargs={"marshmallow_plugin": plugin})
    app.extensions[_EXTENSION] = _Kept(api)
    return api


def document(app: Flask) -> Spec:
    """The description of an application: made once, when it is first asked for and every route is there."""
    kept: _Kept = app.extensions[_EXTENSION]
    # Describing adds schemas to what is described.
    with kept.lock:
        if kept.document is None:
            kept.document = describe(app, kept.api)
        return kept.document


def as_json(app: Flask) -> bytes:
    """``document`` as it is sent; made once, too."""
    found, kept = document(app), app.extensions[_EXTENSION]
    if kept.json is None:
        kept.json = json.dumps(found).encode()
    sent: bytes = kept.json
    return sent


@dataclass
class _Kept:
    api: flask_smorest.Api
    document: Spec | None = None
    json: bytes | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Names:
    """A name for every schema: its class's, and its file's before it where another file has that one already."""

    def __init__(self) -> None:
        self._taken: dict[str, type] = {}

    def of(self, schema: Any) -> str:
        kind = schema if isinstance(schema, type) else type(schema)
        name: str = resolver(schema)
        if self._taken.setdefault(name, kind) is kind:
            return name
        return f"{kind.__module__.rpartition('.')[2].title().replace('_', '')}{name}"
