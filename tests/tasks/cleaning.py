"""What the tests of cleanups share: old files, clips, a cleanup and what it says."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from models import cleanups
from models.db import Database
from models.jobs.tables import Job
from models.speech_clips import SpeechClip
from models.speech_renditions import Form, MadeFile
from tasks import run
from tasks.process import Process
from tests import making

OLD, YOUNG = 40 * 86400.0, 60.0
Result = dict[str, Any]


def age(path: Path, seconds: float) -> Path:
    then = time.time() - seconds
    os.utime(path, (then, then), follow_symlinks=False)
    return path


def write(path: Path, seconds: float, content: bytes = b"12345") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return age(path, seconds)


def put(process: Process, content: str, seconds: float = OLD) -> str:
    name = process.files.put(content.encode())
    age(process.files.path(name), seconds)
    return name


def clip(process: Process, database: Database, name: str, *, days: float = 40, **files: str) -> str:
    """The key of a clip used so many days ago; ``files`` are what its renditions hold, by their formats."""
    made = [MadeFile(Form(form), put(process, content), len(content)) for form, content in files.items()]
    return making.make_clip(database, making.spec(name), *made, last_used_at=func.now() - timedelta(days=days))


def begin(database: Database, target: str = "all", *, hours: float | None = None, dry: bool = False) -> Job:
    params = cleanups.params(target, hours, dry_run=dry)
    return making.submit(database, kind=cleanups.KIND, params=params, doorbells=0)


def clean(database: Database, target: str = "all", *, hours: float | None = None, dry: bool = False) -> Result:
    """What a cleanup says it did, once a worker has done it."""
    job = begin(database, target, hours=hours, dry=dry)
    run.run_slice(cleanups.KIND, job.id)
    done = making.read(database, job)
    assert done.state == "succeeded", done.error_message
    return cleanups.report(done)


def went(result: Result) -> dict[str, tuple[int, int, int]]:
    """What each sweep removed, where it removed anything: files, bytes, rows."""
    found = {name: (each["files"], each["bytes"], each["rows"]) for name, each in result["sweeps"].items()}
    return {name: counts for name, counts in found.items() if any(counts)}


def everything(root: Path) -> set[str]:
    """Every file and link below a folder."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_symlink() or not path.is_dir()}


def keys(database: Database) -> set[str]:
    with database.transaction() as session:
        return set(session.scalars(select(SpeechClip.key)))


def days_ago(count: float) -> Any:
    return timedelta(days=count)


def link(path: Path, target: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path
