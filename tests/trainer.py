"""Stands for the training process: speaks its lines and writes its files within a moment, and goes wrong when told to.

``python tests/trainer.py FOLDER``; what it does beside that is in the variable ``STAND_IN``: ``hang PHASE``,
``deaf PHASE`` (hangs, and passes over SIGTERM), ``die EPOCH`` (once, by SIGKILL), ``always die``, ``refuse``,
``babble``, ``leave`` (a process that outlives it).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PHASES = ("Checking recordings", "Making positive samples", "Extracting features", "Training classifier", "Exporting")
EPOCHS = 4


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def metrics(epoch: int) -> dict[str, float]:
    return {
        "train_loss": 1 / epoch,
        "val_loss": 1.1 / epoch,
        "val_accuracy": 1 - 0.2 / epoch,
        "val_f1": 1 - 0.3 / epoch,
    }


def report(plan: dict[str, Any]) -> dict[str, Any]:
    files = {
        "weights": "model.pt",
        "detector": "detector.bin",
        "onnx": "model.onnx",
        "openwakeword": "openwakeword.onnx",
        "det_png": "det.png",
        "det_json": "curves.json",
    }
    det = [
        {
            "threshold": at,
            "false_accepts_per_hour": per_hour,
            "events": round(per_hour * 2),
            "bound_per_hour": per_hour + 1.5,
            "misses_clean": missed,
            "misses_noise_10_db": missed + 0.02,
            "misses_far": missed + 0.05,
        }
        for at, per_hour, missed in ((0.2, 8.0, 0.0), (0.5, 1.0, 0.02), (0.65, 0.5, 0.04), (0.9, 0.0, 0.2))
    ]
    point = {
        "threshold": 0.65,
        "per_hour": 0.5,
        "events": 1,
        "hours": 2.0,
        "bound_per_hour": 2.4,
        "misses": {"clean": 0.04, "noise_10_db": 0.06, "far": 0.09},
    }
    used = "embedding" if plan["model_type"] == "ast" and not plan["ast_folder"] else plan["model_type"]
    return {
        "wake_word": plan["wake_word"],
        "model_type_requested": plan["model_type"],
        "model_type_used": used,
        "reason": "",
        "threshold": 0.65,
        "metrics": {"accuracy": 0.971, "f1_score": 0.943, "precision": 0.952, "recall": 0.934},
        "operating_point": point,
        "shapes": {"openwakeword": {"input": [1, 16, 96], "output": [1, 1]}},
        "operating_points": [point],
        "near_words": [{"text": "nearly", "fired": 1, "of": 4, "highest": 0.7}],
        "families": {"hibari": {"clips": 4, "recall": 1.0}},
        "det": det,
        "test_hours": 2.0,
        "trainable_params": 1234,
        "training_config": plan["options"] | {"seed": plan["seed"]},
        "data_stats": stats(plan),
        "history": [{"epoch": epoch, **metrics(epoch)} for epoch in range(1, EPOCHS + 1)],
        "warnings": [],
        "versions": {},
        "files": files,
    }


def stats(plan: dict[str, Any]) -> dict[str, int]:
    sizes = {"positive_samples": 40, "negative_samples": 80, "train_size": 100, "val_size": 20}
    return {"recordings": len(plan["recordings"]), **sizes}


def main() -> int:
    folder = Path(sys.argv[1])
    act, _, where = os.environ.get("STAND_IN", "").partition(" ")
    with (folder / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    plan = json.loads((folder / "plan.json").read_text())
    for name in (*plan["recordings"], *plan["false_alarms"], *plan["misses"]):
        assert (folder / name).stat().st_size
    if act == "refuse":
        say(type="failed", code="recording_silent", message="recording 'b.wav' is silent")
        return 1
    if act == "babble":
        print("Loading weights: 100%", "{", "[]", '{"kind": 1}', sep="\n", flush=True)
    if act == "leave":
        subprocess.Popen(["sleep", "60"])
    for number, phase in enumerate(PHASES):
        say(type="phase", phase=phase, progress=number / len(PHASES))
        if act in ("hang", "deaf") and where == phase:
            if act == "deaf":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            (folder / "hangs").touch()
            time.sleep(600)
        if phase == "Extracting features":
            say(type="data", data_stats=stats(plan))
            say(type="warning", text="Recording 'a.wav' is noisy (speech stands 9 dB above the noise).")
        if phase == "Training classifier":
            train(folder, number, act, where)
        time.sleep(0.02)
    write(folder, plan)
    say(type="done")
    return 0


def train(folder: Path, number: int, act: str, where: str) -> None:
    checkpoint = folder / "checkpoint"
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for epoch in range(done + 1, EPOCHS + 1):
        progress = (number + epoch / EPOCHS) / len(PHASES)
        say(type="phase", phase="Training classifier", progress=progress)
        say(type="epoch", epoch=epoch, total_epochs=EPOCHS, metrics=metrics(epoch))
        checkpoint.write_text(str(epoch))
        if act == "always" or (act == "die" and epoch == int(where) and not (folder / "died").exists()):
            (folder / "died").touch()
            print("Something terrible happened.", file=sys.stderr, flush=True)
            # What was said last has been heard by then.
            time.sleep(0.4)
            os.kill(os.getpid(), signal.SIGKILL)


def write(folder: Path, plan: dict[str, Any]) -> None:
    out = folder / "out"
    out.mkdir(exist_ok=True)
    told = report(plan)
    for role, name in told["files"].items():
        (out / name).write_bytes(f"{role} of {plan['wake_word']} {folder.name}".encode())
    (out / "report.json").write_text(json.dumps(told))


if __name__ == "__main__":
    sys.exit(main())
