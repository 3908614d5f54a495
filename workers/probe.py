"""``python -m workers.probe``: what this machine can load, as JSON; a crash while loading harms only the probe."""

from __future__ import annotations

import json
import os
import sys
import time

from workers import device
from workers.tts import provider


def probe() -> dict[str, object]:
    """Each engine with its revision and load time, or the reason why it does not load; cores and GPUs.

    An engine that is not ``installed`` lacks packages or settings; one that is and is not ``available`` is broken.
    """
    engines: dict[str, object] = {}
    # Workers take arguments, not settings; a program of its own has none but its environment.
    options = {"remote": {"url": os.environ.get("REMOTE_TTS_URL", "")}}
    for name in provider.MODULES:
        started = time.perf_counter()
        try:
            loaded = provider.load(name, device.Device("cpu", 1), options.get(name))
        except (ImportError, provider.NotSetUp) as fault:
            engines[name] = {"available": False, "installed": False, "reason": str(fault)}
            continue
        except (OSError, RuntimeError, ValueError) as fault:
            engines[name] = {"available": False, "installed": True, "reason": str(fault)}
            continue
        engines[name] = {
            "available": True,
            "installed": True,
            "revision": loaded.revision,
            "sample_rate_hz": loaded.sample_rate_hz,
            "licence": loaded.capabilities.licence,
            "load_seconds": round(time.perf_counter() - started, 2),
        }
    gpus = [{"index": gpu.index, "name": gpu.name, "memory_bytes": gpu.memory_bytes} for gpu in device.gpus()]
    return {"engines": engines, "cores": device.cores(), "gpus": gpus}


if __name__ == "__main__":
    json.dump(probe(), sys.stdout)
    sys.stdout.write("\n")
