"""What came of a call, as the protocol says it: to programs as a structure, to models as text."""

from __future__ import annotations

import json
import logging
from typing import Any

import mcp_types as types
from mcp import MCPError

from app.http.errors import MAX_MESSAGE_CHARACTERS
from app.tools.calling import LONGEST_NAME, Unconfirmed
from models.errors import ModelError

log = logging.getLogger(__name__)

# Of a tool that there is not, and of one that the caller may not call: nobody is told which.
_UNKNOWN = ("tool_not_found", "tool_forbidden")


def given(result: Any) -> types.CallToolResult:
    """What a tool gave.

    Raises:
        TypeError: it is not JSON.
    """
    # Halves of characters, which an outside server's JSON may hold, cannot be written.
    text = json.dumps(result, ensure_ascii=False).encode(errors="replace").decode()
    structure = json.loads(text) if isinstance(result, dict) else None
    return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=structure)


def failed(tool: str, fault: BaseException) -> types.CallToolResult:
    """Why it gave nothing, in a sentence that a model can act on; of what nobody foresaw, only that.

    Raises:
        MCPError: there is no such tool for this caller.
    """
    if not isinstance(fault, ModelError):
        log.error("Unexpected error in tool %s", tool, exc_info=fault)
        return refused(f"Error executing tool {tool}")
    if fault.code in _UNKNOWN:
        raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {tool[:LONGEST_NAME]}")
    # The token is in the sentence for models, and beside it for programs.
    structure = {"confirmation_token": fault.token} if isinstance(fault, Unconfirmed) else None
    return refused(fault.message[:MAX_MESSAGE_CHARACTERS], structure)


def refused(sentence: str, structure: dict[str, Any] | None = None) -> types.CallToolResult:
    """An answer that says what went wrong."""
    return types.CallToolResult(content=[types.TextContent(text=sentence)], structured_content=structure, is_error=True)
