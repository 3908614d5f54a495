"""The API's description for programs (OpenAPI 3.1).

Nothing in it is written by hand for one route: a route's decorator says who may use it and what it answers, its
docstring what it gives, its marshmallow schemas what it takes, its surface how it refuses, and the contract documents
give the examples.
"""

from __future__ import annotations

import copy
import re
from typing import Any

import flask_smorest
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from app.http.answers import JSON, Answer
from app.http.limits import UNCOUNTED
from app.openapi import documented, words
from app.openapi.errors import error_schemas, refusals
from app.openapi.shapes import Spec, shape, tidy
from app.surfaces import SHARED, Surface, SurfaceBlueprint
from config.versions import VERSION

SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The `access_token` of `POST /api/auth/login`. An API key is taken here, too.",
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "A key of `POST /api/auth/keys`.",
    },
}

# Any POST with a credential takes it (app.http.idempotency).
IDEMPOTENCY_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "description": "Sent again with the same key within 24 hours, it is answered the same and does nothing more",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def describe(app: Flask, api: flask_smorest.Api) -> Spec:
    """The description of every route that ``api`` knows."""
    return _Description(app, api).whole()


class _Description:
    def __init__(self, app: Flask, api: flask_smorest.Api) -> None:
        self._app = app
        self._api = api
        self._open = app.extensions["voiceworks"].settings.open_surfaces
        self._examples = _examples(app)

    def whole(self) -> Spec:
        paths = copy.deepcopy(self._api.spec.to_dict()["paths"])
        used: dict[str, SurfaceBlueprint] = {}
        for rule in self._app.url_map.iter_rules():
            path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
            blueprint = self._app.blueprints.get(rule.endpoint.rpartition(".")[0])
            if path not in paths or not isinstance(blueprint, SurfaceBlueprint):
                continue
            used[blueprint.name] = blueprint
            for parameter in paths[path].get("parameters", []):
                parameter.setdefault("description", words.path_parameter(parameter["name"]))
            for method in {each.lower() for each in rule.methods or ()} & set(paths[path]):
                self._finish(paths[path][method], rule, method, blueprint)
        # Only now: finishing the operations met the schemas of their answers.
        schemas = copy.deepcopy(self._api.spec.components.schemas)
        found: Spec = {
            "openapi": "3.1.0",
            "info": {
                "title": "Voiceworks",
                "version": VERSION,
                "summary": "A self-hosted speech backend",
                "description": words.DESCRIPTION,
                "contact": {"name": "Whoever runs this server"},
            },
            "servers": [{"url": "/", "description": "The server that this description comes from"}],
            "tags": _tags(used),
            "x-tagGroups": _groups(used),
            "paths": paths,
            "components": {
                "schemas": _without_leftovers(schemas) | error_schemas(),
                "securitySchemes": SECURITY_SCHEMES,
            },
        }
        tidy(found)
        return found

    def _finish(self, operation: Spec, rule: Rule, method: str, blueprint: SurfaceBlueprint) -> None:
        view: Any = self._app.view_functions[rule.endpoint]
        surface: Surface = view.surface
        alone = len((rule.methods or set()) - {"HEAD", "OPTIONS"}) == 1
        operation["operationId"] = rule.endpoint.replace(".", "_") + ("" if alone else f"_{method}")
        operation["tags"] = [blueprint.name]
        operation["x-surface"] = surface.name
        # Shown as it is, where a description is Markdown.
        operation["summary"] = operation.get("summary", "").replace("``", "").replace("\n", " ").rstrip(".")
        said = operation.get("description", "").replace("``", "`").partition("Raises:")[0].strip()
        guarded = view.access is not None
        roles = f"Roles: {', '.join(sorted(view.access))}." if guarded else "Needs no credential."
        operation["description"] = f"{said}\n\n{roles}".strip()
        operation["security"] = [{name: []} for name in SECURITY_SCHEMES] if guarded else []
        if guarded and surface.name in self._open:
            operation["security"].insert(0, {})
        for parameter in operation.get("parameters", []):
            _without_null(parameter["schema"])
        shown = self._examples.get((rule.endpoint, method), [])
        self._fill_body(operation, shown, always=415 in view.refuses)
        once = guarded and method == "post"
        if once:
            operation.setdefault("parameters", []).append(copy.deepcopy(IDEMPOTENCY_KEY))
        takes = (
            once or "requestBody" in operation or any(each["in"] == "query" for each in operation.get("parameters", []))
        )
        operation["responses"] = self._answers(view.answers, shown) | refusals(
            surface,
            takes_arguments=takes,
            takes_a_body="requestBody" in operation,
            guarded=guarded,
            named=bool(rule.arguments),
            limited=self._limited(surface, view.limit),
            more=(*view.refuses, *((409,) if once else ())),
        )

    def _limited(self, surface: Surface, limit: str | None) -> bool:
        """Whether a request of this route is ever one too many."""
        rates = self._app.extensions["voiceworks"].settings.rate_limit_by_name
        if limit is None and surface is SHARED:
            # Counted with the surface of the port.
            return any(rates.get(each.name) for each in words.TITLES)
        return limit != UNCOUNTED and bool(rates.get(limit or surface.name))

    def _fill_body(self, operation: Spec, shown: list[documented.Shown], *, always: bool) -> None:
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            return
        examples = _named([(each.document, body) for each in shown for body in each.bodies])
        content |= {"examples": examples} if examples else {}
        schema = self._api.spec.components.schemas.get(content["schema"].get("$ref", "").rpartition("/")[2], {})
        # No body is one without fields, but where what is sent must be said to be JSON.
        operation["requestBody"]["required"] = always or bool(schema.get("required"))

    def _answers(self, answers: dict[int, Answer], shown: list[documented.Shown]) -> Spec:
        examples = [(each.document, answer) for each in shown for answer in each.answers]
        found: Spec = {}
        for status, answer in sorted(answers.items()):
            # The documents show what comes when all goes as usual.
            own = examples if status == min(answers) else []
            found[str(status)] = {
                "description": answer.description or _PHRASES.get(status, "The answer"),
                "content": {media: self._content(media, answer, own) for media in answer.media_types},
            }
            if answer.headers:
                found[str(status)]["headers"] = {
                    name: {"description": said, "schema": {"type": "string"}} for name, said in answer.headers.items()
                }
        return found

    def _content(self, media_type: str, answer: Answer, examples: list[tuple[str, Any]]) -> Spec:
        if media_type != JSON.media_types[0]:
            # What 3.1 would leave unsaid is written as 3.0 says it: generators of clients look for it.
            return {"schema": {"type": "string"} | ({} if media_type.startswith("text/") else {"format": "binary"})}
        if answer.schema is not None:
            schema = self._api.ma_plugin.converter.resolve_nested_schema(answer.schema)
            if answer.many:
                schema = {"type": "array", "items": schema}
        else:
            schema = shape([example for _, example in examples])
        return {"schema": schema} | ({"examples": _named(examples)} if examples else {})


_PHRASES = {200: "The answer", 201: "It was made", 202: "It was accepted, and goes on", 204: "Nothing more to say"}


def _examples(app: Flask) -> dict[tuple[str, str], list[documented.Shown]]:
    """What the documents show, by endpoint and method; the application's own router says which is meant."""
    router = app.url_map.bind("localhost")
    found: dict[tuple[str, str], list[documented.Shown]] = {}
    for shown in documented.requests():
        try:
            endpoint, _ = router.match(re.sub(r"\{\w+\}", "1", shown.path), shown.method)
        except HTTPException:
            # Not here yet.
            continue
        found.setdefault((endpoint, shown.method.lower()), []).append(shown)
    return found


def _named(examples: list[tuple[str, Any]]) -> Spec:
    found: Spec = {}
    for name, example in examples:
        if example not in [each["value"] for each in found.values()]:
            key = name if name not in found else f"{name}-{len(found) + 1}"
            found[key] = {"summary": f"As the {name} document shows it", "value": example}
    return found


def _without_null(schema: Spec) -> None:
    """Nothing of a query string is null: it is left out."""
    if isinstance(schema.get("type"), list):
        kinds = [kind for kind in schema["type"] if kind != "null"]
        schema["type"] = kinds[0] if len(kinds) == 1 else kinds
    if "enum" in schema:
        schema["enum"] = [choice for choice in schema["enum"] if choice is not None]


def _tags(used: dict[str, SurfaceBlueprint]) -> list[Spec]:
    tags = []
    for surface in _in_use(used):
        tag = {
            "name": words.surface_tag(surface),
            "x-displayName": f"About {words.TITLES[surface]}",
            "x-traitTag": True,
        }
        tags.append(tag | {"description": words.about(surface)})
        tags += [
            {
                "name": name,
                "x-displayName": name.replace("_", " ").capitalize(),
                "description": f"{blueprint.description} ({words.TITLES[surface]})",
            }
            for name, blueprint in used.items()
            if blueprint.surface is surface
        ]
    return tags


def _groups(used: dict[str, SurfaceBlueprint]) -> list[Spec]:
    return [
        {
            "name": words.TITLES[surface],
            "tags": [words.surface_tag(surface), *(name for name, each in used.items() if each.surface is surface)],
        }
        for surface in _in_use(used)
    ]


def _in_use(used: dict[str, SurfaceBlueprint]) -> list[Surface]:
    return [surface for surface in words.TITLES if any(each.surface is surface for each in used.values())]


def _without_leftovers(schemas: Spec) -> Spec:
    return {name: schema for name, schema in schemas.items() if name not in ("Error", "PaginationMetadata")}
