"""Stands for the process that fine-tunes: speaks its lines and writes its files at once, and goes wrong as told.

``python tests/llm_trainer.py FOLDER``; what it does beside that is in the variable ``STAND_IN`` or, for one session of
many, in its name after ``do: ``. ``hang PHASE``, ``deaf PHASE`` (hangs, and passes over SIGTERM), ``die STEP`` (once,
by SIGKILL), ``always die`` (in the third step), ``refuse``, ``babble``, ``slow`` (a quarter of a second for each step).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

PHASES = ("Loading the base model", "Rendering", "Evaluating", "Training", "Saving")
STEPS = 8
STEPS_OF_EPOCH = 4
# What always dies gets so far and no further.
DEADLY = 3
FILES = ("adapter/adapter_config.json", "adapter/adapter_model.safetensors", "README.md", "curve.png")


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def step(number: int) -> dict[str, Any]:
    return {
        "step": number,
        "max_steps": STEPS,
        "epoch": (number - 1) // STEPS_OF_EPOCH + 1,
        "total_epochs": STEPS // STEPS_OF_EPOCH,
        "loss": 2.0 / number,
        "learning_rate": 2e-4,
        "tokens_per_second": 100.0,
    }


def stats(rows: int) -> dict[str, int]:
    return {"rows": rows, "train_rows": rows, "eval_rows": 0, "tokens": 10 * rows}


def report(plan: dict[str, Any], rows: list[Any]) -> dict[str, Any]:
    history = [step(number) for number in range(1, STEPS + 1)]
    return {
        "name": plan["name"],
        "base_model": {"id": plan["base_model"]["id"]},
        "config": {"num_epochs": STEPS // STEPS_OF_EPOCH} | plan["config"],
        "max_steps": STEPS,
        "history": history,
        "first_loss": history[0]["loss"],
        "last_loss": history[-1]["loss"],
        "data_stats": stats(len(rows)),
        "rows": rows,
    }


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def note_start(folder: Path) -> None:
    """Beside the folder, which goes when all is done: each start, and whether another was still at it."""
    starts = folder.parent / f"{folder.name}.starts"
    before = starts.read_text().split() if starts.exists() else []
    beside = [pid for pid in before if pid.isdecimal() and lives(int(pid))]
    with starts.open("a") as log:
        log.write(f"{os.getpid()}\n" + "double\n" * bool(beside))


def main() -> int:
    folder = Path(sys.argv[1])
    note_start(folder)
    plan = json.loads((folder / "plan.json").read_text())
    assert Path(plan["base_model"]["cache"]).is_absolute()
    if "adapter" in plan:
        return merge(folder, plan)
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    if plan["name"] == "preview":
        return preview(folder, plan, rows)
    asked = os.environ.get("STAND_IN") or plan["name"].partition("do: ")[2]
    act, _, where = asked.partition(" ")
    if act == "refuse":
        say(type="failed", code="rows_too_long", message="Every prompt is longer than 8 tokens.")
        return 1
    if act == "babble":
        print("Loading weights: 100%", "{", "[]", '{"kind": 1}', sep="\n", flush=True)
    for number, phase in enumerate(PHASES):
        say(type="phase", phase=phase, progress=number / len(PHASES))
        if act in ("hang", "deaf") and where == phase:
            if act == "deaf":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            (folder / "hangs").touch()
            time.sleep(600)
        if phase == "Rendering":
            say(type="data", data_stats=stats(len(rows)))
            say(type="warning", text="Prompt 1 is cut off.")
        if phase == "Training":
            train(folder, act, where)
        time.sleep(0.02)
    write(folder, report(plan, rows))
    say(type="done")
    return 0


def merge(folder: Path, plan: dict[str, Any]) -> int:
    """The adapter as it was given, called a model; hangs and dies as told."""
    asked = os.environ.get("STAND_IN", "")
    say(type="phase", phase="Merging", progress=0.5)
    if asked == "hang Merging":
        (folder / "hangs").touch()
        time.sleep(600)
    if asked == "die Merging" and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if asked == "refuse":
        say(type="failed", code="adapter_mismatch", message="The adapter does not fit.")
        return 1
    draft = folder / "out.part"
    draft.mkdir(exist_ok=True)
    learned = (folder / plan["adapter"] / "adapter_model.safetensors").read_bytes()
    (draft / "model.safetensors").write_bytes(plan["dtype"].encode() + b" of " + learned)
    (draft / "config.json").write_text(json.dumps({"base": plan["base_model"]}))
    (draft / "README.md").write_text((folder / "report.json").read_text())
    draft.rename(folder / "out")
    say(type="done")
    return 0


def shown(row: dict[str, Any]) -> dict[str, Any]:
    question, answer = (message["content"] for message in row["messages"])
    counted = {"tokens": 2, "prompt_tokens": 1, "truncated": False, "held_out": False}
    return {"prompt_id": row["prompt_id"], "text": question + answer, "learned": answer} | counted


def preview(folder: Path, plan: dict[str, Any], rows: list[dict[str, Any]]) -> int:
    """The rows as they are, or a refusal."""
    asked = os.environ.get("STAND_IN", "")
    if asked == "refuse":
        say(type="failed", code="rows_too_long", message="Every prompt is longer than 8 tokens.")
        return 1
    draft = folder / "out.part"
    draft.mkdir()
    warnings = [json.dumps(plan["config"])]
    told = {"prompts": [shown(row) for row in rows], "data_stats": stats(len(rows)), "warnings": warnings}
    (draft / "preview.json").write_text(json.dumps(told))
    draft.rename(folder / "out")
    say(type="done")
    return 0


def train(folder: Path, act: str, where: str) -> None:
    checkpoint = folder / "checkpoint"
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for number in range(done + 1, STEPS + 1):
        say(type="phase", phase="Training", progress=(3 + number / STEPS) / len(PHASES))
        if act == "always" and number == DEADLY:
            die(folder)
        say(type="step", **step(number))
        checkpoint.write_text(str(number))
        if act == "slow":
            time.sleep(0.25)
        if act == "die" and number == int(where) and not (folder / "died").exists():
            die(folder)


def die(folder: Path) -> None:
    (folder / "died").touch()
    print("Something terrible happened.", file=sys.stderr, flush=True)
    # What was said last has been heard by then.
    time.sleep(0.4)
    os.kill(os.getpid(), signal.SIGKILL)


def write(folder: Path, told: dict[str, Any]) -> None:
    draft = folder / "out.part"
    for name in FILES:
        path = draft / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{name} of {folder.name}".encode())
    (draft / "report.json").write_text(json.dumps(told))
    draft.rename(folder / "out")


if __name__ == "__main__":
    sys.exit(main())
