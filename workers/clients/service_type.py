"""A type of outside service: how it is asked whether it is well, where its key goes, and what can be called of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workers.clients.service import Client
from workers.clients.tools import Tool

KeyIn = Callable[[str], tuple[dict[str, str], dict[str, str]]]


def in_header(name: str, prefix: str = "") -> KeyIn:
    """Puts a key into a header."""
    return lambda key: ({name: prefix + key}, {})


def in_query(name: str) -> KeyIn:
    """Puts a key into the query, which servers write into their logs; for those that take it nowhere else."""
    return lambda key: ({}, {name: key})


@dataclass(frozen=True)
class ServiceType:
    """A file of ``workers.clients.types`` has one as ``TYPE``.

    Attributes:
        probe: Returns when the service is well and takes our key; otherwise raises, as every request does.
        key_in: From a service's configuration, where its key goes.
        read: Checks a service's configuration beyond what all have; raises BadInput naming what does not fit.
        declared: The tools that a service's configuration declares.
    """

    name: str
    title: str
    probe: Callable[[Client], None]
    tools: Sequence[Tool] = ()
    key_in: Callable[[Mapping[str, Any]], KeyIn] = lambda config: in_header("X-Api-Key")
    read: Callable[[Mapping[str, Any]], None] = lambda config: None
    declared: Callable[[Mapping[str, Any]], Sequence[Tool]] = lambda config: ()
