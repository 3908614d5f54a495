"""Body of ``llm.finetune``: a language model is trained in a process of its own, from frozen rows to an adapter."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session, undefer

from models.jobs.tables import Job
from models.llm import sessions, workers
from models.llm.tables import TrainingSession
from tasks.folders import going_on_in
from tasks.run import Done, Parked, Work
from tasks.training import LEFT_SECONDS, Training
from workers.clients.whole_files import write_whole
from workers.errors import BadInput, Stopped


class _Curve:
    """What the child says of its data and its steps, and the steps that are not stored yet."""

    def __init__(self) -> None:
        self.unstored: list[dict[str, Any]] = []

    def hear(self, detail: dict[str, Any], message: Mapping[str, Any]) -> None:
        match message["type"]:
            case "data":
                detail["data_stats"] = message["data_stats"]
            case "step":
                self.unstored.append({name: value for name, value in message.items() if name != "type"})

    def note(self, session: Session, job: Job, detail: Mapping[str, Any]) -> None:
        sessions.note(session, job, detail, self.unstored)
        event.listen(session, "after_commit", lambda _: self.unstored.clear(), once=True)


def finetune(work: Work) -> Done:
    """The adapter of a session (``params``: ``base_model``, ``config``, ``rows``).

    Called again for one that goes on: its folder has its last checkpoint.
    """
    _refuse_drained(work)
    folder = sessions.folders(work.process.settings.var_dir).of_job(work.job.id)
    with going_on_in(folder, work):
        with work.process.database.reading() as session:
            row = session.get(TrainingSession, work.job.id, options=[undefer(TrainingSession.detail)])
        if row is None:
            raise Stopped
        if not (folder / "plan.json").exists():
            prepare(work, folder, name=row.name, config=row.config)
        curve = _Curve()
        training = Training(
            work, folder, module="workers.llm.finetune", detail=row.detail, note=curve.note, hear=curve.hear
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


def prepare(work: Work, folder: Path, *, name: str, config: Mapping[str, Any]) -> None:
    """The rows and the plan, the plan last: where it is, everything is."""
    try:
        shutil.copyfile(work.process.files.path(work.params["rows"]), folder / "rows.jsonl")
    except FileNotFoundError:
        raise BadInput("What it was to learn from is gone; start another session.", code="dataset_gone") from None
    write_whole(folder / "plan.json", json.dumps(plan_of(work, name=name, config=config)))


def plan_of(work: Work, **more: Any) -> dict[str, Any]:
    """What a process of ``workers.llm`` is asked for, as all of them read it, and ``more``."""
    cache = sessions.folders(work.process.settings.var_dir).bases
    return {
        "base_model": work.params["base_model"] | {"cache": str(cache)},
        "threads": int(os.environ.get("WORKER_THREADS", "0")) or len(os.sched_getaffinity(0)),
        "device": os.environ.get("WORKER_DEVICE", "cpu"),
    } | more


def _store(work: Work, folder: Path, training: Training) -> Done:
    out, job = folder / "out", work.job
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    files = stored_files(work, out, training)
    # The whole curve, also of what was told while nobody could store it.
    points = [_point(each, report) for each in report.pop("history")]
    detail = training.detail | {"report": report}
    result = {"session_id": job.id, "loss": report["last_loss"]}

    def store(session: Session) -> None:
        sessions.note(session, job, None, points)
        sessions.complete(session, job, detail=detail, files=files)
        removed_after_commit(session, folder)

    return Done(result, store)


def _point(entry: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """A step as the child tells it: with how many there are of steps and epochs."""
    of = {"max_steps": report["max_steps"], "total_epochs": report["config"]["num_epochs"]}
    return of | {name: value for name, value in entry.items() if value is not None}


def stored_files(work: Work, out: Path, training: Training) -> dict[str, Any]:
    """What a process has left in ``out``, in the store now, by the names that it has in a zip.

    Raises:
        Stopped: nobody wants it any more.
    """
    files = {}
    for path in sorted(each for each in out.rglob("*") if each.is_file()):
        size_bytes = path.stat().st_size
        training.tell(may_leave=False)
        # The adapter beside its card, as model hubs lay them out.
        name = path.relative_to(out).as_posix().removeprefix("adapter/")
        files[name] = {"file": work.process.files.take(path), "size_bytes": size_bytes}
    return files


def removed_after_commit(session: Session, folder: Path) -> None:
    """Removes a job's folder, not before its result is written: whoever comes after a kill needs what is there."""
    event.listen(session, "after_commit", lambda _: shutil.rmtree(folder, ignore_errors=True), once=True)
