"""The fine-tuning process: ``python -m workers.llm.finetune FOLDER`` makes an adapter as the folder's plan says.

Says what it does as lines of JSON on its standard output, everything else on its standard error. Started again with the
same folder it goes on where it was; ended by a signal at any moment it leaves nothing in ``out``.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from workers.llm import plan as plans
from workers.llm.process import alone, main
from workers.saying import REPORT_SECONDS, Voice

if TYPE_CHECKING:
    from workers.llm.course import Step


def _make(folder: Path, voice: Voice) -> None:
    # Before the imports, which take seconds.
    voice.progress("Loading the base model", 0.0)
    plan, rows = plans.read(folder), plans.read_rows(folder)
    alone(plan.threads, downloads=plan.base_model.format == "hub")
    import torch

    torch.set_num_threads(plan.threads)
    from workers.llm.making import Making

    said_at = 0.0

    def say_step(step: Step) -> None:
        nonlocal said_at
        now = time.monotonic()
        if now - said_at < REPORT_SECONDS and step.eval_loss is None and 1 < step.step < step.max_steps:
            return
        said_at = now
        voice.say(type="step", **{name: value for name, value in asdict(step).items() if value is not None})

    Making(
        plan,
        rows,
        folder,
        progress=voice.progress,
        data=lambda stats: voice.say(type="data", data_stats=stats),
        step=say_step,
        warning=lambda text: voice.say(type="warning", text=text),
    ).run()


if __name__ == "__main__":
    sys.exit(
        main(
            _make,
            exhausted_by="The memory does not suffice: a smaller batch_size, max_seq_length or base model needs less.",
        )
    )
