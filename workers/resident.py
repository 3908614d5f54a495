"""The engines this process keeps loaded."""

from __future__ import annotations

from collections.abc import Iterable

from workers.device import Device
from workers.tts import provider
from workers.tts.provider import Provider

_loaded: dict[str, Provider] = {}


def load(engines: Iterable[str], device: Device) -> dict[str, str]:
    """Loads the engines and gives the revision of each."""
    for name in engines:
        if name not in _loaded:
            _loaded[name] = provider.load(name, device)
    return {name: engine.revision for name, engine in _loaded.items()}


def engine(name: str) -> Provider:
    """A loaded engine; one asked for that is not yet loaded is loaded on the processor."""
    if name not in _loaded:
        load([name], Device("cpu", 1))
    return _loaded[name]
