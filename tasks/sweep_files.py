"""Sweeps that begin at files: those without rows, drafts, temporary files, what imports and trainings left."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path

from sqlalchemy.orm import Session

from models import file_owners, imports, wake_trainings
from models.files import GRACE_SECONDS
from models.llm import sessions
from models.transcription import batches
from tasks.sweeps import NOTHING, Candidate, Count, Ground, walk

# What servers may say is unchanged, for those who bring their courses up to date every week or so.
FETCHED_SECONDS = 14 * 86400.0
_NAMES_AT_ONCE = 500

# Which of these names no job needs any more.
Over = Callable[[Session, Collection[str]], set[str]]


def without_rows(ground: Ground) -> Iterator[Candidate]:
    """Stored files that no row points to. Their grace is always the same: a row may be about to be written."""
    if not ground.is_ours(ground.process.files.root):
        return

    def known(names: list[str]) -> set[str]:
        ground.breathe()
        with ground.process.database.reading() as session:
            return file_owners.known(session, names)

    for path in ground.process.files.strays(known):
        if candidate := ground.old_file(path, GRACE_SECONDS):
            yield candidate


def drafts(ground: Ground) -> Iterator[Candidate]:
    """Files of the store that nobody finished."""
    if ground.is_ours(ground.process.files.root / "unfinished"):
        for path in ground.process.files.drafts():
            if candidate := ground.old_file(path, ground.age(GRACE_SECONDS)):
                yield candidate


def temporary(ground: Ground) -> Iterator[Candidate]:
    """Temporary files that nobody has written for an hour, and the folders that are left empty."""
    folder, seconds = ground.root / "tmp", ground.age(GRACE_SECONDS)
    if not ground.is_ours(folder):
        return
    for path in walk(folder, ground):
        ground.breathe()
        if candidate := ground.old_file(path, seconds):
            yield candidate
        elif not path.is_symlink() and path.is_dir() and _written_before(path, ground.now - seconds):
            # One that was emptied just now goes with the next cleanup.
            yield Candidate(ground.shown(path), NOTHING, partial(_remove_empty, path))


def of_imports(ground: Ground) -> Iterator[Candidate]:
    """What imports left that ended a while ago, or never became jobs: their folders, and what was sent for them."""
    folders, seconds = imports.folders(ground.root), ground.age(imports.KEPT_SECONDS)
    kept = {folders.uploads, folders.cache}
    yield from _left(ground, (folders.root, folders.uploads), kept, seconds, imports.over)


def of_trainings(ground: Ground) -> Iterator[Candidate]:
    """What trainings of wake words left that ended a while ago, and sound that was sent to be listened to."""
    folders = wake_trainings.folders(ground.root)
    seconds = ground.age(wake_trainings.KEPT_SECONDS)
    yield from _left(ground, (folders.root,), folders.kept, seconds, wake_trainings.over)
    yield from _left(ground, (folders.uploads,), (), ground.age(GRACE_SECONDS), wake_trainings.over)


def of_sessions(ground: Ground) -> Iterator[Candidate]:
    """What the training of language models left that ended a while ago."""
    folders = sessions.folders(ground.root)
    yield from _left(ground, (folders.root,), folders.kept, ground.age(sessions.KEPT_SECONDS), sessions.over)


def of_batches(ground: Ground) -> Iterator[Candidate]:
    """What batches of sound for transcribers left that ended a while ago, and what was sent for none."""
    folders, seconds = batches.folders(ground.root), ground.age(batches.KEPT_SECONDS)
    yield from _left(ground, (folders.root, folders.uploads), folders.kept, seconds, batches.over)


def _left(
    ground: Ground, places: Iterable[Path], kept: Collection[Path], seconds: float, over: Over
) -> Iterator[Candidate]:
    """What lies in these places of jobs that are ``over``, or of none, beside what is ``kept``."""
    for place in places:
        if not ground.is_ours(place):
            continue
        # One that is younger may be of a job whose row is about to be written.
        old = (path for path in place.iterdir() if path not in kept and _written_before(path, ground.now - seconds))
        while some := {path.name: path for path in islice(old, _NAMES_AT_ONCE)}:
            ground.breathe()
            for name in sorted(_over(ground, over, list(some))):
                yield _whole(some[name], ground, over)


def fetched(ground: Ground) -> Iterator[Candidate]:
    """What was fetched from the web so long ago that it is fetched anew anyway."""
    folder = imports.folders(ground.root).cache
    if ground.is_ours(folder):
        for path in folder.iterdir():
            if candidate := ground.old_file(path, ground.age(FETCHED_SECONDS)):
                yield candidate


def _over(ground: Ground, over: Over, names: list[str]) -> set[str]:
    with ground.process.database.reading() as session:
        return over(session, names)


def _whole(path: Path, ground: Ground, over: Over) -> Candidate:
    """What a job left: a file, a link itself, or a folder with all that is in it."""
    is_folder = path.is_dir() and not path.is_symlink()
    inside = walk(path, ground) if is_folder else iter([path])
    count = NOTHING
    for each in inside:
        with suppress(FileNotFoundError):
            if each.is_symlink() or not each.is_dir():
                count += Count(1, each.lstat().st_size)

    def remove() -> Count:
        # Somebody may try the job again at this moment.
        if path.parent.resolve() != path.parent or not _over(ground, over, [path.name]):
            return NOTHING
        try:
            if is_folder:
                # By another name first: of two who remove it one has it, and all of it to count.
                doomed = path.rename(path.with_name(f"{path.name}.{time.monotonic_ns()}.removed"))
                shutil.rmtree(doomed)
            else:
                path.unlink()
        except FileNotFoundError:
            return NOTHING
        return count

    return Candidate(ground.shown(path), count, remove)


def _remove_empty(folder: Path) -> Count:
    # Something may have been put into it, or another took it away.
    with suppress(OSError):
        folder.rmdir()
    return NOTHING


def _written_before(path: Path, moment: float) -> bool:
    try:
        return path.lstat().st_mtime < moment
    except FileNotFoundError:
        # Another worker is done with it.
        return False
