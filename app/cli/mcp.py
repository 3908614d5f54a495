"""``mcp``: the process that programs call tools at."""

from __future__ import annotations

from argparse import Namespace

from app.cli import OK, reach
from app.cli.output import Failed
from config.child import StartFailed
from config.supervisor import refuse_used_ports


def serve(_: Namespace) -> int:
    """Serves until it is stopped."""
    configured = reach.load()
    try:
        refuse_used_ports("mcp", configured)
    except StartFailed as fault:
        raise Failed(str(fault)) from None
    # It loads the SDK, which no other command needs.
    from app.mcp import server

    server.serve(configured)
    return OK
