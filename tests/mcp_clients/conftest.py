"""MCP clients that are not ours; skipped where ``MCP_CLIENTS_HOME`` names no environment with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HOME = os.environ.get("MCP_CLIENTS_HOME", "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what needs other clients, where there are none."""
    for item in items:
        if Path(__file__).parent in item.path.parents and not HOME:
            item.add_marker(pytest.mark.skip(reason="MCP_CLIENTS_HOME names no environment with MCP clients"))


@pytest.fixture
def previous() -> Path:
    """The interpreter whose ``mcp`` is the SDK's previous major version."""
    return Path(HOME).absolute() / "bin" / "python"


@pytest.fixture
def inspector() -> Path:
    """The inspector, which npm installed there."""
    found = Path(HOME).absolute() / "node_modules" / ".bin" / "mcp-inspector"
    if not found.exists():
        pytest.skip(f"there is no {found}: it takes npm, and Node 20 or newer")
    return found
