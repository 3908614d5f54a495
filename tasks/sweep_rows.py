"""Sweeps that begin at rows: speech that nobody asks for, rows without files, jobs and records past their retention."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial

from sqlalchemy.orm import Session

from models import file_owners, lost_files, speech_expiry
from models.files import GRACE_SECONDS
from models.jobs import retention
from models.lost_files import Capture, Image
from models.speech_expiry import Place
from tasks.process import Process
from tasks.sweeps import NOTHING, Candidate, Count, Ground

log = logging.getLogger(__name__)

DAY_SECONDS = 86400.0
# So many at once are one transaction, which others may have to wait for.
BATCH = 200

# How many rows are so old, and the same while they are removed; ``days`` is of the settings.
CountOld = Callable[[Session, int], int]


def expired_speech(ground: Ground) -> Iterator[Candidate]:
    """Clips that nobody used for as long as they are kept, their renditions, and the files of both."""
    seconds = ground.age(ground.process.settings.speech_cache_ttl_days * DAY_SECONDS)
    place: Place | None = None
    while True:
        ground.breathe()
        with ground.process.database.reading() as session:
            found = speech_expiry.expired(session, seconds=seconds, after=place, limit=BATCH)
            if not found:
                return
            keys = [each.key for each in found]
            gone = speech_expiry.look(session, keys)
            files = _let_go(session, ground, gone.files, keys)
        place = found[-1]
        count = sum((each.count for each in files.values() if each is not None), Count(rows=gone.rows))
        yield Candidate(f"{len(keys)} clips", count, partial(_remove_speech, ground, keys, seconds))


def _remove_speech(ground: Ground, keys: list[str], seconds: float) -> Count:
    database = ground.process.database
    gone = database.persist(lambda session: speech_expiry.remove(session, keys, seconds=seconds))
    with database.reading() as session:
        files = _let_go(session, ground, gone.files, [])
    removed = (_remove_file(ground, file) for file in files.values() if file is not None)
    return sum(removed, Count(rows=gone.rows))


def remove_let_go(process: Process, names: Collection[str]) -> tuple[Count, set[str]]:
    """What went of these files whose rows have gone, and those that may not go yet: they were put a moment ago."""
    ground = Ground(process, now=time.time(), failed=lambda sentence: log.warning("Not removed: %s", sentence))
    with process.database.reading() as session:
        files = _let_go(session, ground, names, [])
    young = {name for name, file in files.items() if file is None and process.files.exists(name)}
    return sum((_remove_file(ground, file) for file in files.values() if file is not None), NOTHING), young


def _let_go(
    session: Session, ground: Ground, names: Collection[str], keys: Collection[str]
) -> dict[str, Candidate | None]:
    """Those of the files that nothing but these clips needs; None for one that was put a moment ago, or is gone."""
    needed = speech_expiry.needed_by_others(session, names, keys) | file_owners.known_but_as_speech(session, names)
    path = ground.process.files.path
    return {name: ground.old_file(path(name), GRACE_SECONDS) for name in names if name not in needed}


def _remove_file(ground: Ground, file: Candidate) -> Count:
    try:
        return file.remove()
    except OSError as fault:
        # Its row is gone: it is found as a file without one.
        ground.fault(file.what, fault)
        return NOTHING


def lost_speech(ground: Ground) -> Iterator[Candidate]:
    """Clips and renditions whose file is gone: they are made again when somebody asks for them."""
    exists, place = ground.process.files.exists, ""
    find = partial(lost_files.lost_renditions, exists=exists, older_than_seconds=GRACE_SECONDS)
    remove = partial(lost_files.remove_lost_renditions, exists=exists, older_than_seconds=GRACE_SECONDS)
    while not _is_unmounted(ground):
        ground.breathe()
        with ground.process.database.reading() as session:
            keys = lost_files.clips(session, after=place, limit=BATCH)
            if not keys:
                return
            lost = find(session, keys)
            whole = {row.clip_key for row, own in lost if own}
            rows = lost_files.rows_of(session, whole) + sum(row.clip_key not in whole for row, _ in lost)
        place = keys[-1]
        if lost:
            theirs = sorted({row.clip_key for row, _ in lost})

            def go(theirs: list[str] = theirs) -> Count:
                return Count(rows=ground.process.database.persist(lambda session: remove(session, theirs)))

            yield Candidate(f"{len(theirs)} clips without files", Count(rows=rows), go)


def lost_images(ground: Ground) -> Iterator[Candidate]:
    """Images of courses whose file is gone."""
    exists, database = ground.process.files.exists, ground.process.database
    place: Image | None = None
    while not _is_unmounted(ground):
        ground.breathe()
        with database.reading() as session:
            found = lost_files.images(session, after=place, older_than_seconds=GRACE_SECONDS, limit=BATCH)
        if not found:
            return
        place = found[-1]
        lost = [image for image in found if not exists(image.file_name)]
        if lost:

            def go(lost: list[Image] = lost) -> Count:
                still = [image for image in lost if not exists(image.file_name)]
                return Count(rows=database.persist(lambda session: lost_files.remove_images(session, still)))

            yield Candidate(f"{len(lost)} images without files", Count(rows=len(lost)), go)


def lost_captures(ground: Ground) -> Iterator[Candidate]:
    """Clips captured for a wake word whose file is gone. A model without files stays: it could not be made again."""
    exists, database, place = ground.process.files.exists, ground.process.database, ""
    while not _is_unmounted(ground):
        ground.breathe()
        with database.reading() as session:
            found = lost_files.captures(session, after=place, older_than_seconds=GRACE_SECONDS, limit=BATCH)
        if not found:
            return
        place = found[-1].id
        lost = [capture for capture in found if not exists(capture.file)]
        if lost:

            def go(lost: list[Capture] = lost) -> Count:
                still = [capture.id for capture in lost if not exists(capture.file)]
                return Count(rows=database.persist(lambda session: lost_files.remove_captures(session, still)))

            yield Candidate(f"{len(lost)} captured clips without files", Count(rows=len(lost)), go)


def _is_unmounted(ground: Ground) -> bool:
    """Whether there is no file at all; then it is not the rows that are wrong."""
    if not ground.process.files.is_empty():
        return False
    with ground.process.database.reading() as session:
        kept = (
            lost_files.clips(session, after="", limit=1)
            or lost_files.images(session, after=None, older_than_seconds=GRACE_SECONDS, limit=1)
            or lost_files.captures(session, after="", older_than_seconds=GRACE_SECONDS, limit=1)
        )
    if kept:
        ground.failed("files: not one stored file is there; is its disk mounted? No row was removed for it")
    return True


def old_jobs(ground: Ground) -> Iterator[Candidate]:
    """Jobs that ended so long ago that nobody asks for them, with their items and what was told of them."""
    database, days, place = ground.process.database, ground.process.settings.job_retention_days, ""
    while True:
        ground.breathe()
        with database.reading() as session:
            found = retention.old(session, days=days, after=place, limit=BATCH)
        if not found:
            return
        place = found[-1].id
        rows = Count(rows=sum(job.rows for job in found))

        def go(ids: tuple[str, ...] = tuple(job.id for job in found)) -> Count:
            return Count(rows=database.persist(lambda session: retention.remove(session, ids, days=days)))

        yield Candidate(f"{len(found)} jobs", rows, go)


def old_rows(
    what: str, days: Callable[[Ground], int], count: CountOld, forget: CountOld
) -> Callable[[Ground], Iterator[Candidate]]:
    """A sweep of rows that are older than the settings keep them."""

    def find(ground: Ground) -> Iterator[Candidate]:
        ground.breathe()
        database, kept = ground.process.database, days(ground)
        with database.reading() as session:
            rows = count(session, kept)
        if rows:

            def go() -> Count:
                return Count(rows=database.persist(lambda session: forget(session, kept)))

            yield Candidate(what, Count(rows=rows), go)

    return find
