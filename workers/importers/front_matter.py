"""What a page in Markdown says of itself before it begins: YAML between ``---``, TOML between ``+++``."""

from __future__ import annotations

import re
import tomllib
from typing import Any

_YAML = re.compile(r"\A---[ \t]*\r?\n(.{0,20000}?)\r?\n(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_TOML = re.compile(r"\A\+\+\+[ \t]*\r?\n(.{0,20000}?)\r?\n\+\+\+[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^([A-Za-z_][\w-]{0,40})[ \t]*:[ \t]*(.*)$")
_ITEM = re.compile(r"^[ \t]*-[ \t]+(.+)$")


def parted(text: str) -> tuple[dict[str, list[str]], str]:
    """The fields, their names in lower case, and the page without them."""
    if yaml := _YAML.match(text):
        return _of_yaml(yaml[1]), text[yaml.end() :]
    if toml := _TOML.match(text):
        return _of_toml(toml[1]), text[toml.end() :]
    return {}, text


def _of_yaml(text: str) -> dict[str, list[str]]:
    """Plain values, ``[a, b]`` and lists of items; what is nested is not read."""
    said: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if found := _FIELD.match(line):
            name, value = found[1].lower(), found[2].strip()
            listed = value[1:-1].split(",") if value.startswith("[") and value.endswith("]") else [value]
            said[name] = [bare for each in listed if (bare := each.strip().strip("\"'"))]
        elif name and (item := _ITEM.match(line)):
            said[name].append(item[1].strip().removeprefix("name:").strip().strip("\"'"))
    return said


def _of_toml(text: str) -> dict[str, list[str]]:
    try:
        told = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        # It is not for the ear, whatever it is.
        return {}
    return {name.lower(): _plain(value) for name, value in told.items()}


def _plain(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    # ``true`` and ``false`` as YAML writes them.
    return [
        str(each).lower() if isinstance(each, bool) else str(each)
        for each in listed
        if isinstance(each, str | int | float) and str(each).strip()
    ]
