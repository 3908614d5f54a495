"""The training process: ``python -m workers.wakeword.train FOLDER`` makes a detector as the folder's plan says.

Says what it does as lines of JSON on its standard output, everything else on its standard error. Started again with the
same folder it goes on where it was.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from workers.errors import WorkError
from workers.wakeword import plan as plans
from workers.wakeword.making import Making

Say = Callable[[dict[str, Any]], None]

_REPORT_SECONDS = 0.25


class Voice:
    """What the process says, a line at a time; progress at most four times a second, and never back."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._phase = ""
        self._progress = 0.0
        self._at = 0.0

    def say(self, **what: Any) -> None:
        """One line."""
        self._stream.write(json.dumps(what) + "\n")
        self._stream.flush()

    def progress(self, phase: str, progress: float) -> None:
        """How far it is, 0..1."""
        progress = max(self._progress, min(progress, 1.0))
        now = time.monotonic()
        if phase == self._phase and (progress == self._progress or now - self._at < _REPORT_SECONDS):
            return
        self._phase, self._progress, self._at = phase, progress, now
        self.say(type="phase", phase=phase, progress=round(progress, 4))


def main() -> int:
    """Trains; 0 when everything is in ``out``."""
    # Whatever a library prints is no line of ours.
    voice = Voice(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    folder = Path(sys.argv[1])
    plan = plans.read(folder)
    import torch

    torch.set_num_threads(1)
    try:
        Making(
            plan,
            folder,
            progress=voice.progress,
            data=lambda stats: voice.say(type="data", data_stats=stats),
            epoch=lambda epoch: voice.say(
                type="epoch",
                epoch=epoch.epoch,
                total_epochs=plan.options.num_epochs,
                metrics={name: value for name, value in asdict(epoch).items() if name != "epoch"},
            ),
            warning=lambda text: voice.say(type="warning", text=text),
        ).run()
    except WorkError as fault:
        voice.say(type="failed", code=fault.code, message=fault.message)
        return 1
    voice.say(type="done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
