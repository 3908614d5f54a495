"""``python bench/faults/trainer.py FOLDER``: the stand-in of the tests for a training, slow enough to be killed in."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests import trainer

# Some dozen things are said: a training takes about five seconds.
PAUSE_SECONDS = 0.4

_say = trainer.say


def say(**what: Any) -> None:
    """One line, and some work."""
    _say(**what)
    time.sleep(PAUSE_SECONDS)


def main() -> int:
    """Trains; what a full disk left of a checkpoint is none."""
    checkpoint = Path(sys.argv[1], "checkpoint")
    if checkpoint.exists() and not checkpoint.read_text():
        checkpoint.unlink()
    trainer.say = say
    return trainer.main()


if __name__ == "__main__":
    sys.exit(main())
