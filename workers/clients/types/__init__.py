"""The types of outside services, one file each; a new one is a file with a ``TYPE``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Protocol

from workers.clients.networks import Networks
from workers.clients.service import LONGEST_SECONDS, TIMEOUT_SECONDS, Client, Place
from workers.clients.service_type import ServiceType

# Known by name, and asked as whoever adds them declares.
_PLAIN = {"openwebui": "Open WebUI"}


@cache
def types() -> Mapping[str, ServiceType]:
    """All of them by name."""
    # What begins with "_" is what several of them share.
    names = [each.name for each in pkgutil.iter_modules(__path__) if not each.name.startswith("_")]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    found: dict[str, ServiceType] = {module.TYPE.name: module.TYPE for module in modules}
    plain = {name: replace(found["generic_http"], name=name, title=title) for name, title in _PLAIN.items()}
    return plain | found


def kind_of(name: str) -> ServiceType:
    """The type of this name; one that is gone is asked as any HTTP API."""
    return types().get(name) or types()["generic_http"]


class Reached(Protocol):
    """A service as it is stored."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def type(self) -> str:
        """Of which type it is."""

    @property
    def url(self) -> str:
        """Where it is."""

    @property
    def config(self) -> Mapping[str, Any]:
        """What its type reads."""


def connect(
    service: Reached,
    *,
    key: str | None,
    networks: Networks,
    longest_seconds: float = LONGEST_SECONDS,
    at_least_seconds: float = 0.0,
    on_behalf_of: str | None = None,
) -> Client:
    """What asks a service; no request lasts longer than ``longest_seconds``, and each may last ``at_least_seconds``.

    ``on_behalf_of`` is what whoever calls is called there, where somebody said so.
    """
    config = service.config
    told = float(config.get("timeout_seconds", TIMEOUT_SECONDS))
    place = Place(
        name=service.name,
        url=service.url,
        networks=networks,
        key=key,
        key_in=kind_of(service.type).key_in(config),
        verify_tls=bool(config.get("verify_tls", True)),
        timeout_seconds=max(at_least_seconds, min(longest_seconds, told)),
    )
    return Client(place, config, on_behalf_of=on_behalf_of)
