"""What of a call's arguments is kept: no secrets, and no more than somebody reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.logs import without_credentials
from workers.clients.tools import Tool, is_secret

LONGEST_TEXT, DEEPEST = 500, 6
# Characters of all of it: whoever may call nothing may fill no disk either.
MOST = 8_000
HIDDEN = "***"
_CUT = "…"


def redacted(tool: Tool | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, without what is secret by its name or (``writeOnly``) by the tool's own word."""
    said = tool.parameters if tool else {}
    own = {name for name, parameter in said.items() if parameter.get("writeOnly")}
    kept = _Kept()
    return {
        name[:LONGEST_TEXT]: HIDDEN if name in own else kept.of(name, value, 0)
        for name, value in arguments.items()
        if kept.room(name)
    }


class _Kept:
    """What is kept, until there is enough of it."""

    def __init__(self) -> None:
        self._left = MOST

    def room(self, value: Any) -> bool:
        """Whether there is room for one more value; it is taken."""
        self._left -= 8 + min(len(value), LONGEST_TEXT) if isinstance(value, str) else 8
        return self._left > 0

    def of(self, name: str, value: Any, depth: int) -> Any:
        """The value, as it is kept."""
        if is_secret(name) and value is not None and not isinstance(value, bool):
            return HIDDEN
        if not self.room(value) or (depth >= DEEPEST and isinstance(value, dict | list)):
            return _CUT
        if isinstance(value, str):
            # What is far too long is cut before it is searched.
            text = without_credentials(value[: 2 * LONGEST_TEXT])
            return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}{_CUT}"
        if isinstance(value, dict):
            return {
                str(key)[:LONGEST_TEXT]: self.of(str(key), inner, depth + 1)
                for key, inner in value.items()
                if self.room(str(key))
            }
        if isinstance(value, list):
            return [self.of(name, inner, depth + 1) for inner in value if self._left > 0]
        return value
