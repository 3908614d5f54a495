"""Our own tools, a file for each part of Voiceworks; a new one is a file with ``TOOLS``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from app.context import Context
from app.http.access import Access
from models.accounts import Caller
from workers.clients.tools import Tool

# The share of the work that is done, 0 to 1, and what is being done.
Report = Callable[[float, str], None]


@dataclass(frozen=True)
class Asked:
    """Who calls one of our own tools, and what it may use. ``report`` tells whoever waits how far it is."""

    here: Context
    caller: Caller
    report: Report


@dataclass(frozen=True)
class OwnTool(Tool):
    """A tool of ours; ``run`` takes ``(asked, arguments)``. ``access`` is that of the endpoint it stands for."""

    access: Access = frozenset()


@cache
def tools() -> Mapping[str, OwnTool]:
    """All of them by name."""
    modules = [importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__)]
    return {tool.name: tool for module in modules for tool in module.TOOLS}
