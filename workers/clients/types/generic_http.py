"""Any service with an HTTP API: its tools are declared in its configuration.

``config`` of such a service::

    {"auth": {"header": "Authorization", "prefix": "Bearer "},
     "health_path": "/status",
     "tools": [{"name": "lights_set", "description": "Switch the lights of a room", "method": "POST",
                "path": "/rooms/{room}/lights", "query": {}, "body": {"on": "{on}"},
                "parameters": {"room": {"type": "string", "required": true}, "on": {"type": "boolean"}}}]}

What stands in braces is an argument; a text that is nothing but one takes its value as it is, a number as a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match

from workers.clients.service import Client
from workers.clients.service_type import KeyIn, ServiceType, in_header, in_query
from workers.clients.tools import NAME, Tool
from workers.errors import BadInput

MAX_TOOLS = 100
_NOT_OURS = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect")
)
_ARGUMENT = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_TEXT = {"type": "string", "minLength": 1, "maxLength": 1000}
_SHAPE = {
    "type": "object",
    "properties": {
        "auth": {
            "type": "object",
            "properties": {"header": _TEXT, "prefix": {"type": "string", "maxLength": 100}, "query": _TEXT},
            "additionalProperties": False,
        },
        "health_path": {"type": "string", "maxLength": 1000},
        "tools": {
            "type": "array",
            "maxItems": MAX_TOOLS,
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "pattern": rf"^{NAME}$(?!\n)"},
                    "description": _TEXT,
                    "method": {"enum": ["GET", "POST", "PUT", "PATCH", "DELETE"]},
                    "path": _TEXT,
                    "query": {"type": "object"},
                    "body": {"type": "object"},
                    "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                    "parameters": {"type": "object", "additionalProperties": {"type": "object"}},
                    "read_only": {"type": "boolean"},
                    "destructive": {"type": "boolean"},
                },
                "required": ["name", "description", "path"],
                "additionalProperties": False,
            },
        },
    },
}


def _probe(client: Client) -> None:
    client.get(str(client.config.get("health_path", "/")))


def _key_in(config: Mapping[str, Any]) -> KeyIn:
    auth = config.get("auth") or {}
    if "query" in auth:
        return in_query(auth["query"])
    return in_header(auth.get("header", "X-Api-Key"), auth.get("prefix", ""))


def _read(config: Mapping[str, Any]) -> None:
    fault = best_match(Draft202012Validator(_SHAPE).iter_errors(dict(config)))
    if fault is not None:
        raise BadInput(f"config.{'.'.join(map(str, fault.absolute_path))}: {fault.message}"[:500])
    auth = config.get("auth") or {}
    _check_headers({auth.get("header", "X-Api-Key"): auth.get("prefix", "")}, "config.auth")
    names = [tool["name"] for tool in config.get("tools", [])]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BadInput(f"config.tools: {', '.join(sorted(twice))} is declared twice.")
    for number, (said, tool) in enumerate(zip(config.get("tools", []), _declared(config), strict=True)):
        where = f"config.tools.{number}"
        try:
            Draft202012Validator.check_schema(tool.schema)
        except SchemaError as bad:
            raise BadInput(f"{where}.parameters: {bad.message}"[:500]) from None
        if leads := _words(tool.schema, ("$ref", "$dynamicRef", "$recursiveRef")):
            raise BadInput(f"{where}.parameters: {leads[0]} leads elsewhere; a parameter says all of itself.")
        if slow := _words(tool.schema, ("pattern", "patternProperties")):
            # A regular expression can take longer than anybody lives, and the caller chooses the text.
            raise BadInput(f"{where}.parameters: {slow[0]} is not taken; an enum, minLength and maxLength are.")
        _check_headers(said.get("headers", {}), f"{where}.headers")
        if _named(said.get("headers", {})):
            raise BadInput(f"{where}.headers: they are sent as they are, so nothing stands in braces there.")
        missing = set(_named(said)) - set(tool.parameters)
        if missing:
            raise BadInput(f"{where}: {', '.join(sorted(missing))} stands in braces, but is no parameter.")
        optional = [name for name in _ARGUMENT.findall(said["path"]) if not tool.parameters[name].get("required")]
        if optional:
            raise BadInput(f"{where}.path: {optional[0]} stands in it, so it has to be required.")


def _named(said: Any) -> list[str]:
    if isinstance(said, str):
        return _ARGUMENT.findall(said)
    if isinstance(said, Mapping):
        parts = [value for name, value in said.items() if name not in ("parameters", "description", "name")]
        return [name for part in parts for name in _named(part)]
    return [name for part in said for name in _named(part)] if isinstance(said, list) else []


def _words(schema: Any, wanted: Collection[str]) -> list[str]:
    """Those of these words that a schema uses, wherever in it; a parameter may be called so."""
    if isinstance(schema, Mapping):
        own = [name for name, value in schema.items() if name in wanted and not isinstance(value, Mapping)]
        return own + [name for value in schema.values() for name in _words(value, wanted)]
    return [name for value in schema for name in _words(value, wanted)] if isinstance(schema, list) else []


def _check_headers(headers: Mapping[str, str], where: str) -> None:
    """Refuses what no header is called or holds, and those that say how a request is to be read."""
    for name, value in headers.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_|~-]{1,100}", name) or name.lower() in _NOT_OURS:
            raise BadInput(f"{where}: {name[:100]!r} is no header that can be chosen.")
        if not (value.isascii() and (value.isprintable() or not value)):
            raise BadInput(f"{where}: {name} holds what no header may hold.")


def _declared(config: Mapping[str, Any]) -> Sequence[Tool]:
    return [
        Tool(
            name=said["name"],
            description=said["description"],
            parameters=said.get("parameters", {}),
            run=_calling(said),
            read_only=said.get("read_only", said.get("method", "GET") == "GET"),
            destructive=said.get("destructive", said.get("method") == "DELETE"),
        )
        for said in config.get("tools", [])
    ]


def _calling(said: Mapping[str, Any]) -> Callable[[Client, Mapping[str, Any]], Any]:
    def run(client: Client, arguments: Mapping[str, Any]) -> Any:
        for name in _ARGUMENT.findall(said["path"]):
            # They would lead upwards, however they are written, and nothing to all of what it should be one of.
            if str(arguments[name]) in ("", ".", ".."):
                raise BadInput(f"{name}: {arguments[name]!r} is no part of a path.", code="bad_arguments")
        path = _ARGUMENT.sub(lambda found: quote(_text(arguments[found[1]]), safe=""), said["path"])
        return client.ask(
            said.get("method", "GET"),
            path,
            query=_filled(said.get("query", {}), arguments),
            body=_filled(said["body"], arguments) if "body" in said else None,
            headers=said.get("headers"),
        )

    return run


def _text(value: Any) -> str:
    """A value within a text: truth and what is made of parts as JSON has them."""
    return value if isinstance(value, str) else json.dumps(value)


def _filled(template: Any, arguments: Mapping[str, Any]) -> Any:
    """The template with arguments; a field whose argument was not given is left out."""
    if isinstance(template, str):
        if whole := _ARGUMENT.fullmatch(template):
            return arguments.get(whole[1])
        return _ARGUMENT.sub(lambda found: _text(arguments.get(found[1], "")), template)
    if isinstance(template, dict):
        filled = {name: _filled(value, arguments) for name, value in template.items()}
        return {name: value for name, value in filled.items() if value is not None}
    return [_filled(value, arguments) for value in template] if isinstance(template, list) else template


TYPE = ServiceType(
    name="generic_http",
    title="HTTP API",
    probe=_probe,
    key_in=_key_in,
    read=_read,
    declared=_declared,
)
