"""Body of ``llm.finetune``: a language model is trained in a process of its own, from frozen rows to an adapter."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from models.llm import sessions, workers
from models.llm.tables import TrainingSession
from tasks.folders import going_on_in
from tasks.run import Done, Parked, Work
from tasks.training import LEFT_SECONDS, Training
from workers.clients.whole_files import write_whole
from workers.errors import BadInput, Stopped

# Points of a curve that are kept: more are for measuring, not for looking.
CURVE_POINTS = 2000


def finetune(work: Work) -> Done:
    """The adapter of a session (``params``: ``base_model``, ``config``, ``rows``).

    Called again for one that goes on: its folder has its last checkpoint.
    """
    _refuse_drained(work)
    folder = sessions.folders(work.process.settings.var_dir).of_job(work.job.id)
    with going_on_in(folder, work):
        with work.process.database.reading() as session:
            row = session.get(TrainingSession, work.job.id)
        if row is None:
            raise Stopped
        if not (folder / "plan.json").exists():
            _prepare(work, row, folder)
        training = Training(
            work, folder, module="workers.llm.finetune", detail=row.detail, note=sessions.note, hear=_hear
        )
        training.run()
        return _store(work, folder, training)


def _refuse_drained(work: Work) -> None:
    """Gives the session back that a worker took before it heard that it is to take nothing more.

    Raises:
        Parked: somebody else may have it.
    """
    with work.process.database.reading() as session:
        drained = workers.drained(session, work.process.node)
    if drained:
        raise Parked(workers.UNDRAINED, lambda session: True, for_seconds=LEFT_SECONDS)


def _prepare(work: Work, row: TrainingSession, folder: Path) -> None:
    """The rows and the plan, the plan last: where it is, everything is."""
    process = work.process
    try:
        shutil.copyfile(process.files.path(work.params["rows"]), folder / "rows.jsonl")
    except FileNotFoundError:
        raise BadInput("What it was to learn from is gone; start another session.", code="dataset_gone") from None
    plan = {
        "name": row.name,
        "base_model": work.params["base_model"] | {"cache": str(sessions.folders(process.settings.var_dir).bases)},
        "config": row.config,
        "threads": int(os.environ.get("WORKER_THREADS", "0")) or len(os.sched_getaffinity(0)),
        "device": os.environ.get("WORKER_DEVICE", "cpu"),
    }
    write_whole(folder / "plan.json", json.dumps(plan))


def _hear(detail: dict[str, Any], message: Mapping[str, Any]) -> None:
    """Notes what the child says of its data and its steps."""
    match message["type"]:
        case "data":
            detail["data_stats"] = message["data_stats"]
        case "step":
            point = {name: value for name, value in message.items() if name != "type"}
            # One that goes on from a checkpoint does some of them again.
            before = [each for each in detail.get("loss_history", ()) if each["step"] < point["step"]]
            detail["loss_history"] = [*before, point][-CURVE_POINTS:]


def _store(work: Work, folder: Path, training: Training) -> Done:
    out, job = folder / "out", work.job
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    files = {}
    for path in sorted(each for each in out.rglob("*") if each.is_file()):
        content = path.read_bytes()
        training.tell(may_leave=False)
        # The adapter beside its card, as model hubs lay them out.
        name = path.relative_to(out).as_posix().removeprefix("adapter/")
        files[name] = {"file": work.process.files.put(content), "size_bytes": len(content)}
    detail = training.detail | {"report": report}
    result = {"session_id": job.id, "loss": report["last_loss"]}

    def store(session: Session) -> None:
        sessions.complete(session, job, detail=detail, files=files)
        # Not before: whoever comes after a kill needs what is there.
        event.listen(session, "after_commit", lambda _: shutil.rmtree(folder, ignore_errors=True), once=True)

    return Done(result, store)
