"""Short ways to reach a stand-in with a client of ours, and to call its tools."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from tests.outside.server import KEY
from workers.clients.networks import Networks
from workers.clients.service import Client
from workers.clients.tools import Tool
from workers.clients.types import connect, types


def client_of(
    kind: str,
    url: str,
    *,
    key: str | None = KEY,
    config: Mapping[str, Any] | None = None,
    networks: Networks | None = None,
    seconds: float = 5.0,
    on_behalf_of: str | None = None,
) -> Client:
    """A client of a service of that type, called "mine"."""
    said = {"timeout_seconds": seconds} | dict(config or {})
    mine = SimpleNamespace(name="mine", type=kind, url=url, config=said)
    return connect(mine, key=key, networks=networks or Networks(), on_behalf_of=on_behalf_of)


def tool_of(name: str) -> Tool:
    """The tool of that name."""
    return next(tool for kind in types().values() for tool in kind.tools if tool.name == name)


def call(client: Client, name: str, **arguments: Any) -> Any:
    """What the tool gives for arguments that it takes."""
    tool = tool_of(name)
    tool.check(arguments)
    return tool.run(client, arguments)
