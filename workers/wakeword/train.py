"""The training process: ``python -m workers.wakeword.train FOLDER`` makes a detector as the folder's plan says.

Says what it does as lines of JSON on its standard output, everything else on its standard error. Started again with the
same folder it goes on where it was.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from workers.errors import WorkError
from workers.saying import Voice
from workers.wakeword import plan as plans
from workers.wakeword.making import Making


def main() -> int:
    """Trains; 0 when everything is in ``out``."""
    voice = Voice.alone_on_stdout()
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
