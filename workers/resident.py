"""The engines this process keeps loaded."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping

from workers.device import Device
from workers.errors import RetryLater
from workers.tts import provider
from workers.tts.provider import NotSetUp, Provider

log = logging.getLogger(__name__)

_loaded: dict[str, Provider] = {}


def load(
    engines: Iterable[str],
    device: Device,
    *,
    options: Mapping[str, Mapping[str, str]] | None = None,
    optional: Collection[str] = (),
) -> dict[str, str]:
    """Loads the engines and gives the revision of each that there is.

    Args:
        engines: Their names.
        device: What they compute on.
        options: For each engine the options of its ``load`` that differ from its defaults.
        optional: Those that may be missing: their packages are not installed, or nobody has set them up.
    """
    for name in engines:
        if name in _loaded:
            continue
        try:
            _loaded[name] = provider.load(name, device, (options or {}).get(name))
        except (ImportError, NotSetUp) as fault:
            if name not in optional:
                raise
            log.info("Engine %s is left out: %s", name, fault)
    return {name: engine.revision for name, engine in _loaded.items()}


def engine(name: str) -> Provider:
    """A loaded engine; one asked for that is not yet loaded is loaded on the processor.

    Raises:
        RetryLater: this process cannot load it; another worker of the lane may have it.
    """
    if name not in _loaded:
        try:
            load([name], Device("cpu", 1))
        except (ImportError, NotSetUp) as fault:
            raise RetryLater(f"this worker has no engine {name}: {fault}", code="engine_missing") from fault
    return _loaded[name]
