"""What Label Studio has, brought here: which tasks there are, and their sound, ahead of those who ask for it."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import redis

from models import redis_keys
from models.base import utc_now
from models.transcription import tasks
from models.transcription.tables import Task
from models.transcription.tasks import Found, Sound
from tasks import drafts
from tasks.annotations import server
from tasks.process import Process, current
from workers.clients.label_studio import Away, LabelStudio, Listed, Refused
from workers.errors import BadInput, WorkError
from workers.transcripts import sound

log = logging.getLogger(__name__)

# All tasks are looked at so often; in between only whether there are new ones.
WHOLE_SECONDS = 600
# So long after one that was broken off, by a worker's death, all are looked at again.
BROKEN_OFF_SECONDS = 120
# So many tasks have their sound here, so that nobody waits for it: a day's work of a small team.
AHEAD = 500
# So long one round fetches sound, so that others of the lane have their turn.
_FETCHING_SECONDS = 20.0
_AT_ONCE = 500
# So many that were not in the list are asked for, one by one, before the next look.
_ASKED_FOR = 200
_MOST_BYTES = 1 << 30


def sync(*, whole: bool = False) -> None:
    """Looks which tasks there are: those that are new, and every ten minutes all of them.

    Nothing is lost by a webhook that did not come, and nothing is done twice by one that came.
    """
    process = current()
    studio = server(process)
    if studio is None:
        return
    with process.database.reading() as session:
        known = tasks.there(session)
    whole = _is_time(process, whole=whole) or not known
    began = time.monotonic()
    try:
        new, seen = _take_over(process, studio, newer_than=0 if whole else max(known))
    except WorkError as fault:
        log.warning("Label Studio's tasks were not looked at: %s", fault.message)
        process.redis.delete(redis_keys.LABEL_STUDIO_LOOKED_AT)
        return
    gone = _mark_gone(process, studio, known - seen) if whole else 0
    if whole:
        _looked(process, WHOLE_SECONDS)
    if new or gone:
        log.info("Label Studio: %d new tasks, %d removed, %.1f s", new, gone, time.monotonic() - began)


def prepare() -> None:
    """Fetches the sound of the next tasks, and lets go of that of tasks that ended."""
    process = current()
    studio = server(process)
    if studio is None:
        return
    ends = time.monotonic() + _FETCHING_SECONDS
    with process.database.reading() as session:
        wanted = tasks.to_prepare(session, ahead=AHEAD)
    looked_at = []
    for task in wanted:
        if time.monotonic() > ends or not _prepare(process, studio, task):
            break
        looked_at.append(task.id)
    with process.database.transaction() as session:
        drafts.plan(session, process.settings, looked_at, account_id=None)
        tasks.released(session)


def _is_time(process: Process, *, whole: bool) -> bool:
    """Whether all tasks are to be looked at, by this process and by no other beside it."""
    try:
        taken = process.redis.set(redis_keys.LABEL_STUDIO_LOOKED_AT, "1", nx=not whole, ex=BROKEN_OFF_SECONDS)
    except redis.RedisError:
        return whole
    return bool(taken)


def _looked(process: Process, seconds: int) -> None:
    """Puts the next look at all tasks off for so long, unless a webhook has asked for one meanwhile."""
    with suppress(redis.RedisError):
        process.redis.expire(redis_keys.LABEL_STUDIO_LOOKED_AT, seconds)


def _take_over(process: Process, studio: LabelStudio, *, newer_than: int) -> tuple[int, set[int]]:
    """How many tasks are new, and the numbers of all that were seen."""
    key = studio.project().data_key
    percent = process.settings.transcription_double_percent
    seen: set[int] = set()
    new, began = 0, utc_now()
    some: list[Found] = []

    def store() -> int:
        batch = list(some)
        some.clear()
        if not newer_than:
            _looked(process, BROKEN_OFF_SECONDS)
        return process.database.persist(
            lambda session: tasks.take_over(session, batch, seen_at=began, double_percent=percent)
        )

    for listed in studio.tasks(newer_than=newer_than):
        seen.add(listed.id)
        found = _found(listed, key)
        if found is not None:
            some.append(found)
        if len(some) >= _AT_ONCE:
            new += store()
    return new + store(), seen


def _mark_gone(process: Process, studio: LabelStudio, missing: Collection[int]) -> int:
    """How many of those that were not in the list are no more there: each is asked for, as somebody may hold it.

    Lists are read page by page: one that is removed meanwhile moves others to a page that was read already.
    """
    gone: list[int] = []
    try:
        # What was found before it went away counts.
        gone.extend(task_id for task_id in sorted(missing)[:_ASKED_FOR] if not studio.has(task_id))
    except WorkError as fault:
        log.warning("Label Studio's tasks were not looked at: %s", fault.message)
    if len(missing) > _ASKED_FOR:
        # The next look goes on.
        process.redis.delete(redis_keys.LABEL_STUDIO_LOOKED_AT)
    if not gone:
        return 0
    return len(
        process.database.persist(lambda session: tasks.mark_gone(session, gone, "It was removed from Label Studio."))
    )


def _found(listed: Listed, key: str) -> Found | None:
    address = listed.data.get(key)
    if not isinstance(address, str) or not address or address != _plain(address):
        log.warning("Task %d of Label Studio has no sound under %r", listed.id, key)
        return None
    language = listed.data.get("language")
    return Found(
        id=listed.id,
        file_name=_name(address),
        audio_url=address,
        labeled=listed.labeled,
        language=_plain(language) if isinstance(language, str) else None,
        draft=None if listed.draft is None else _plain(listed.draft),
    )


def _name(address: str) -> str:
    """What a file is called at an address: ``/data/upload/1/ab12-a.wav`` and ``/data/local-files/?d=x/a.wav``."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "audio"
    path = parts.query.partition("d=")[2] or parts.path
    return _plain(PurePosixPath(unquote(path)).name)[:200] or "audio"


def _plain(text: str) -> str:
    """The text without what Postgres cannot keep: NUL and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


def _prepare(process: Process, studio: LabelStudio, task: Task) -> bool:
    """Whether it is worth to go on with the next: not while Label Studio is away, or does not take our key."""
    persist = process.database.persist
    folder = process.settings.var_dir / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        file = Path(place, "sound")
        try:
            studio.fetch(task.audio_url or "", file, most_bytes=_MOST_BYTES)
            looked = sound.look(file)
        except Refused as fault:
            log.warning("Sound is not fetched from Label Studio: %s", fault.message)
            return False
        except BadInput as fault:
            problem = fault.message
            log.warning("Task %d cannot be transcribed: %s", task.id, problem)
            persist(lambda session: tasks.broken(session, task.id, problem))
            return True
        except WorkError as fault:
            # It alone, perhaps: those behind it must not wait for it.
            log.warning("The sound of task %d was not fetched: %s", task.id, fault.message)
            persist(lambda session: tasks.put_off(session, task.id))
            return not isinstance(fault, Away)
    stored = Sound(process.files.put(looked.content), looked.media_type, looked.duration_seconds, looked.peaks)
    persist(lambda session: tasks.prepared(session, task.id, stored))
    return True
