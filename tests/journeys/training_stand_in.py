"""Trains nothing: says what a training says, and makes a detector that compares with the recordings.

``python training_stand_in.py FOLDER``, in place of ``workers.wakeword.train``. A word that holds "slow" is never done.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.images import png
from workers.wakeword import fewshot, recordings

EPOCHS = 12
HOURS = 0.92
FOUND = {
    "threshold": 0.5,
    "metrics": {"accuracy": 0.97, "f1_score": 0.94, "precision": 0.95, "recall": 0.93},
    "conditions": {"clean": {"clips": 50, "missed": 1, "misses": 0.02, "bound": 0.0914}},
    "operating_points": [
        {
            "target_per_hour": rate,
            "supported": rate > 1,
            "threshold": threshold,
            "events": events,
            "hours": HOURS,
            "per_hour": round(events / HOURS, 4),
            "bound_per_hour": bound,
            "misses": {"clean": missed},
        }
        for rate, threshold, events, bound, missed in ((2.0, 0.3, 2, 6.843, 0.0), (0.5, 0.5, 0, 3.2562, 0.02))
    ],
    "det": [
        {
            "threshold": threshold,
            "false_accepts_per_hour": round(events / HOURS, 4),
            "events": events,
            "bound_per_hour": bound,
            "misses_clean": missed,
        }
        for threshold, events, bound, missed in ((0.1, 28, 41.8, 0.0), (0.5, 0, 3.2562, 0.02), (0.9, 0, 3.2562, 0.3))
    ],
    "test_hours": HOURS,
    "families": {"user": {"clips": 1, "recall": 1.0}},
    "near_words": [
        {"text": "alexis", "fired": 3, "of": 4, "highest": 0.9},
        {"text": "a lecture", "fired": 0, "of": 4, "highest": 0.2},
    ],
    "trainable_params": 0,
    "warnings": ["One recording only: other voices may be missed."],
}


def say(**what: Any) -> None:
    """One line."""
    print(json.dumps(what), flush=True)


def main() -> None:
    """Takes a second or two, or for ever."""
    folder = Path(sys.argv[1])
    plan = json.loads((folder / "plan.json").read_text())
    taken = [recordings.check((folder / name).read_bytes(), name) for name in plan["recordings"]]
    say(type="phase", phase="Making positive samples", progress=0.1)
    say(type="data", data_stats={"recordings": len(taken), "positive_samples": 4000, "negative_samples": 8000})
    say(type="warning", text=FOUND["warnings"][0])
    epoch = 0
    while epoch < EPOCHS or "slow" in plan["wake_word"]:
        epoch += 1
        say(type="phase", phase="Training", progress=min(0.9, 0.2 + 0.05 * epoch))
        metrics = {"train_loss": 0.7 / epoch, "val_loss": 0.8 / epoch, "val_accuracy": 0.9, "val_f1": 0.9}
        say(type="epoch", epoch=epoch, total_epochs=100, metrics=metrics)
        time.sleep(0.25)
    out = folder / "out"
    out.mkdir(exist_ok=True)
    (out / "detector.npz").write_bytes(fewshot.of_recordings([each.samples for each in taken]).saved())
    (out / "det.png").write_bytes(png(200))
    told = {
        "wake_word": plan["wake_word"],
        "model_type_used": "fewshot",
        "model_type_requested": plan["model_type"],
        "reason": "",
    }
    files = {"detector": "detector.npz", "det_png": "det.png"}
    config = {"training_config": plan["options"], "seed": plan["seed"]}
    (out / "report.json").write_text(json.dumps(FOUND | told | config | {"files": files}))
    say(type="done")


if __name__ == "__main__":
    main()
