"""Bodies of wake words: a training in a process of its own, and the shared sound that nobody says a wake word in."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from models import wake_models, wake_trainings
from models.wake_trainings import Folders, WakeTraining
from tasks.folders import going_on_in
from tasks.run import Done, Work
from tasks.training import Training
from workers.clients.whole_files import write_whole
from workers.errors import BadInput, Stopped, WorkError

USES = ("recordings", "false_alarms", "misses")


def train(work: Work) -> Done:
    """A new version of a word's detector (``params``: ``wake_word``, ``model_type``, ``options``, ...).

    Called again for one that goes on: its folder has what it made so far.
    """
    folder = _folders(work).of_job(work.job.id)
    with going_on_in(folder, work):
        return _Training(work, folder).through()


class _Training:
    def __init__(self, work: Work, folder: Path) -> None:
        self._work = work
        self._folder = folder
        with work.process.database.reading() as session:
            row = session.get(WakeTraining, work.job.id)
        if row is None:
            raise Stopped
        self._row = row
        self._training = Training(
            work, folder, module="workers.wakeword.train", detail=row.detail, note=wake_trainings.note, hear=_hear
        )

    def through(self) -> Done:
        """The training, from wherever it is to its end."""
        if not (self._folder / "plan.json").exists():
            self._prepare()
        self._training.run()
        return self._store()

    def _prepare(self) -> None:
        """The plan and the sound it names, the plan last: where it is, everything is."""
        # What an earlier try told is not true of this one.
        detail = self._training.detail
        self._training.detail = {name: detail[name] for name in ("warnings",) if name in detail}
        paths = {use: self._lay_out(use) for use in USES}
        params, settings = self._work.params, self._work.process.settings
        negatives = _folders(self._work).negatives
        plan = {
            "wake_word": params["wake_word"],
            "model_type": params["model_type"],
            "options": params["options"],
            "seed": params["seed"],
            "target_false_accepts_per_hour": params["target_false_accepts_per_hour"],
            "negatives": str(negatives) if params["options"]["use_real_negatives"] and negatives.is_dir() else None,
            "ast_folder": settings.ast_folder or None,
            "threads": int(os.environ.get("WORKER_THREADS", "0")) or len(os.sched_getaffinity(0)),
            "device": os.environ.get("WORKER_DEVICE", "cpu"),
            **paths,
        }
        write_whole(self._folder / "plan.json", json.dumps(plan))

    def _lay_out(self, use: str) -> list[str]:
        found = []
        for number, clip in enumerate(self._row.clips.get(use, ())):
            target = self._folder / use / f"{number}{Path(clip['name']).suffix.lower()[:8]}"
            target.parent.mkdir(exist_ok=True)
            try:
                shutil.copyfile(self._work.process.files.path(clip["file"]), target)
            except FileNotFoundError:
                gone = f"{use}: the file of {clip['name']!r} is gone; send it again"
                if use == "recordings":
                    raise BadInput(gone, code="clip_gone") from None
                # Nobody can send a capture again, and the others are of use.
                self._training.detail["warnings"] = [*self._training.detail.get("warnings", []), gone]
                continue
            found.append(str(target.relative_to(self._folder)))
        return found

    def _store(self) -> Done:
        out, job = self._folder / "out", self._work.job
        report = json.loads((out / "report.json").read_text(encoding="utf-8"))
        files = {}
        for role, name in report["files"].items():
            content = (out / Path(name).name).read_bytes()
            self._training.tell(may_leave=False)
            stored = self._work.process.files.put(content)
            files[role] = {"file": stored, "size_bytes": len(content), "name": Path(name).name}
        detail = self._training.detail | {name: report[name] for name in ("data_stats", "history") if report.get(name)}
        result: dict[str, Any] = {"model_id": None, **{name: report[name] for name in ("model_type_used", "reason")}}

        def store(session: Session) -> None:
            # The training alone: another worker may have it by now, and makes the model then.
            wake_trainings.note(session, job, detail)
            made = wake_models.add(
                session,
                wake_word=self._row.wake_word,
                model_type=report["model_type_used"],
                threshold=report["threshold"],
                report=report,
                files=files,
                recordings=self._row.clips.get("recordings", ()),
                job_id=job.id,
                account_id=job.account_id,
            )
            result["model_id"] = made.name
            # Not before: whoever comes after a kill needs what is there.
            event.listen(session, "after_commit", lambda _: shutil.rmtree(self._folder, ignore_errors=True), once=True)

        return Done(result, store)


def _hear(detail: dict[str, Any], message: Mapping[str, Any]) -> None:
    """Notes what the child says of its data and its epochs."""
    match message["type"]:
        case "data":
            detail["data_stats"] = message["data_stats"]
        case "epoch":
            epoch, metrics = int(message["epoch"]), dict(message["metrics"])
            detail |= {"current_epoch": epoch, "total_epochs": int(message["total_epochs"]), "metrics": metrics}
            # One that goes on from a checkpoint does some of them again.
            before = [each for each in detail.get("history", ()) if each["epoch"] < epoch]
            detail["history"] = [*before, {"epoch": epoch, **metrics}]


def negatives(work: Work) -> Done:
    """The shared sound, brought up to date (``params``: ``max_workers``): Debian's prompts, and the settings' folders.

    Called again for one that goes on: what was read is there.
    """
    # Not before: what reads sound takes a second to load, which no training waits for.
    from workers.wakeword import prompts
    from workers.wakeword.negatives import NegativeCache

    folders = _folders(work)
    found, notes = [], []
    try:
        places = [prompts.INSTALLED]
        if not prompts.INSTALLED.is_dir():
            places = []
            for language in prompts.LANGUAGES:
                work.report(0.0, f"Fetching prompts ({language})")
                places += prompts.download(folders.packages, [language])
        found += [source for place in places for source in prompts.sources(place)]
    except WorkError as fault:
        # With sound of one's own they can be done without.
        if not work.process.settings.wakeword_folders:
            raise
        notes.append(fault.message)
    for folder in work.process.settings.wakeword_folders:
        found += prompts.sources(folder)
    report = partial(_report_share, work)
    info = NegativeCache(folders.negatives).build(found, max_workers=work.params["max_workers"], report=report)
    return Done({"chunk_count": info.chunks, "size_bytes": info.size_bytes, "hours": info.hours, "notes": notes})


def _report_share(work: Work, share: float, phase: str) -> None:
    work.report(share, phase.capitalize())


def _folders(work: Work) -> Folders:
    return wake_trainings.folders(work.process.settings.var_dir)
