"""What of a call's arguments is kept: no secrets, and no more than somebody reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from config.logs import without_credentials
from workers.clients.tools import Tool

LONGEST_TEXT, MOST_ITEMS, DEEPEST = 500, 50, 6
HIDDEN = "***"
_SECRET = re.compile(
    r"pass(word|wd|phrase|code)?|secret|token|credential|authorization|api_?-?key|\bpin\b|cookie", re.IGNORECASE
)


def redacted(tool: Tool | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, without what is secret by its name or (``writeOnly``) by the tool's own word."""
    said = tool.parameters if tool else {}
    own = {name for name, parameter in said.items() if parameter.get("writeOnly")}
    return {
        name[:LONGEST_TEXT]: HIDDEN if name in own else _plain(name, value, 0)
        for name, value in list(arguments.items())[:MOST_ITEMS]
    }


def _plain(name: str, value: Any, depth: int) -> Any:
    if _SECRET.search(name) and value is not None and not isinstance(value, bool):
        return HIDDEN
    if isinstance(value, str):
        text = without_credentials(value)
        return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
    if depth >= DEEPEST and isinstance(value, dict | list):
        return "…"
    if isinstance(value, dict):
        return {
            str(key)[:LONGEST_TEXT]: _plain(str(key), inner, depth + 1)
            for key, inner in list(value.items())[:MOST_ITEMS]
        }
    if isinstance(value, list):
        return [_plain(name, inner, depth + 1) for inner in value[:MOST_ITEMS]]
    return value
