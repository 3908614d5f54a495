"""What must be true once it is calm, whatever happened: asked of Postgres, of the files and of those who were told."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import soundfile

from bench.faults.load import Load, Promise
from bench.faults.place import Place
from models import file_owners, imports, wake_trainings
from models.speech_clips import ClipSpec
from models.transcription import batches
from tests.journeys import truth

ENDED = ("succeeded", "failed", "cancelled")
EVENTS = {"succeeded": "job.finished", "failed": "job.failed", "cancelled": "job.cancelled"}
# What one finding of a kind says; of a thousand nobody reads more.
_SHOWN = 20


def check(place: Place, load: Load) -> dict[str, list[str]]:
    """What is wrong, by the name of what should be true; empty where all is well."""
    found = {name: list(question(place, load)) for name, question in QUESTIONS.items()}
    return {name: said[:_SHOWN] for name, said in found.items() if said}


def _jobs_end(place: Place, load: Load) -> Iterator[str]:
    rows = {row.id: row for row in place.rows("select * from jobs")}
    for promise in load.memory.promised:
        if promise.job_id not in rows:
            yield f"{promise.what} {promise.job_id} was accepted and is not there"
    for job in rows.values():
        if job.state not in ENDED:
            yield f"{job.kind} {job.id} is {job.state}, {job.phase}, attempts {job.attempts}, run_after {job.run_after}"
        if job.state == "failed" and not (job.error_code and job.error_message):
            yield f"{job.kind} {job.id} failed without a reason"
    for item in place.rows("select * from job_items where state not in ('succeeded', 'cancelled')"):
        if item.state != "failed" or not (item.error_code and item.error_message):
            yield f"item {item.position} of {item.job_id} is {item.state}, {item.error_code}: {item.error_message}"


def _nothing_held(place: Place, load: Load) -> Iterator[str]:
    """What transcribers hold is asked of them when they are done (``bench/storm_checks.py``)."""
    yield from truth.held(place)
    for row in place.rows("select id, lease_until from jobs where lease_until is not null or lease_node is not null"):
        yield f"job {row.id} has a lease until {row.lease_until}"


def _counts_agree(place: Place, load: Load) -> Iterator[str]:
    query = """
        select jobs.id, items_total, items_succeeded, items_failed, made.* from jobs join (
            select job_id, count(*) as total, count(*) filter (where state = 'succeeded') as succeeded,
                count(*) filter (where state = 'failed') as failed from job_items group by job_id
        ) made on made.job_id = jobs.id
        where (items_total, items_succeeded, items_failed) <> (total, succeeded, failed)
    """
    for row in place.rows(query):
        counted, kept = (row.total, row.succeeded, row.failed), (row.items_total, row.items_succeeded, row.items_failed)
        yield f"{row.id} says {kept} of its items, which are {counted}"


def _outputs(place: Place, load: Load) -> Iterator[str]:
    for promise in load.memory.promised:
        if not promise.texts:
            continue
        jobs = place.rows("select id, state from jobs where :job in (id, parent_id)", job=promise.job_id)
        if {job.id: job.state for job in jobs}.get(promise.job_id) != "succeeded":
            continue
        parts = [job.id for job in jobs if job.id != promise.job_id] or [promise.job_id]
        if len(parts) != promise.forms:
            yield f"{promise.job_id} has {len(parts)} parts and not {promise.forms}"
        for part in parts:
            yield from _part(place, promise, part)


def _part(place: Place, promise: Promise, job_id: str) -> Iterator[str]:
    items = place.rows("select * from job_items where job_id = :job order by position", job=job_id)
    if [item.params["clip"]["text"] for item in items] != list(promise.texts):
        yield f"{job_id} speaks {len(items)} texts, not the {len(promise.texts)} that were asked for, in their order"
    for item in items:
        key = ClipSpec(**item.params["clip"]).key
        if item.state == "succeeded" and (item.result or {}).get("clip") != key:
            yield f"item {item.position} of {job_id} made another clip"
        if item.state == "succeeded" and not place.value("select 1 from speech_clips where key = :key", key=key):
            yield f"the clip of item {item.position} of {job_id} is not there"


def _clips(place: Place, load: Load) -> Iterator[str]:
    made = truth.synthesized(place)
    for key, times in made.items():
        if times > 1:
            yield f"clip {key} was made {times} times"
    clips = {clip.key: clip for clip in place.rows("select * from speech_clips where state <> 'absent'")}
    forms = Counter(row.clip_key for row in place.rows("select clip_key from speech_renditions"))
    for key, clip in clips.items():
        if clip.state != "ready" or clip.token is not None:
            yield f"clip {key} is {clip.state} with token {clip.token}"
        elif not forms[key]:
            yield f"clip {key} is ready and has no file"


def _renditions(place: Place, load: Load) -> Iterator[str]:
    query = "select r.*, c.duration_seconds from speech_renditions r join speech_clips c on c.key = r.clip_key"
    for row in place.rows(query):
        path = place.files.path(row.file)
        if not path.exists():
            yield f"{row.format} of clip {row.clip_key} has no file {row.file}"
            continue
        content = path.read_bytes()
        if (len(content), hashlib.sha256(content).hexdigest()) != (row.size_bytes, row.file):
            yield f"file {row.file} is not what its row says"
        if row.format == "wav":
            samples, rate = soundfile.read(io.BytesIO(content))
            if abs(len(samples) / rate - row.duration_seconds) > 0.001 or abs(samples).max() < 0.05:
                yield f"file {row.file} lasts {len(samples) / rate} s and its clip {row.duration_seconds}"


def _told(place: Place, load: Load) -> Iterator[str]:
    heard = Counter((told.message["job"]["id"], told.message["event"]) for told in load.receiver.told)
    ids = {told.headers["X-Voiceworks-Delivery"]: told.body for told in load.receiver.told}
    for told in load.receiver.told:
        if ids[told.headers["X-Voiceworks-Delivery"]] != told.body:
            yield f"a delivery came twice with different contents: {told.message['job']['id']}"
    for promise in load.memory.promised:
        if not promise.told:
            continue
        job = place.rows("select state from jobs where id = :job", job=promise.job_id)
        rows = place.rows("select * from webhook_deliveries where job_id = :job", job=promise.job_id)
        sent = [(row.state, row.payload["event"]) for row in rows]
        if job and sent != [("delivered", EVENTS.get(job[0].state))]:
            yield f"{promise.job_id} is {job[0].state} and was told as {sent}"
        if job and not heard[(promise.job_id, EVENTS.get(job[0].state))]:
            yield f"nobody heard that {promise.job_id} is {job[0].state}"
        elif [job_id for job_id, _ in heard].count(promise.job_id) > 1:
            yield f"several ends of {promise.job_id} were told"


def _seen(place: Place, load: Load) -> Iterator[str]:
    for job_id, state in load.memory.seen.items():
        now = place.value("select state from jobs where id = :job", job=job_id)
        if state != now:
            yield f"a socket says that {job_id} is {state}, and it is {now}"


def _once(place: Place, load: Load) -> Iterator[str]:
    """Who asks again under one idempotency key, because no answer came, has asked once."""
    asked = {
        "courses are called": "select title from curricula where not extra ? 'imported_from'",
        "trainings are of the word": "select params ->> 'wake_word' from jobs where kind = 'wakeword.train'",
        "sounds are called": "select file_name from transcription_tasks",
    }
    for what, query in asked.items():
        for name, times in Counter(row[0] for row in place.rows(query)).items():
            if times > 1:
                yield f"{times} {what} {name!r}, which was asked for once"


def _imported(place: Place, load: Load) -> Iterator[str]:
    jobs = place.rows("select id, result from jobs where kind = 'imports.run' and state = 'succeeded'")
    made = Counter((job.result or {}).get("curriculum_id") for job in jobs)
    courses = place.rows("select id from curricula where extra ? 'imported_from'")
    if made != Counter(course.id for course in courses):
        yield f"{len(jobs)} imports succeeded, and there are {len(courses)} imported courses"


def _trained(place: Place, load: Load) -> Iterator[str]:
    query = "select job_id, count(*) as models from wake_models group by job_id"
    models = {row.job_id: row.models for row in place.rows(query)}
    for job in place.rows("select id, state from jobs where kind = 'wakeword.train'"):
        if models.get(job.id, 0) != (job.state == "succeeded"):
            yield f"{job.id} is {job.state} and made {models.get(job.id, 0)} models"


def _people(place: Place, load: Load) -> Iterator[str]:
    yield from load.memory.wrong


QUESTIONS: dict[str, Callable[[Place, Load], Iterator[str]]] = {
    "every accepted job has ended, with a reason where it failed": _jobs_end,
    "nobody holds anything": _nothing_held,
    "jobs count their items right": _counts_agree,
    "what was asked for was made, once, in its order": _outputs,
    "every clip was made once and is ready": _clips,
    "every rendition has its file, as its row says": _renditions,
    "who asked to be told was told once what is true": _told,
    "sockets told last what is true": _seen,
    "what was asked for once is there once": _once,
    "every import made one course": _imported,
    "every training made one model": _trained,
    "nobody was answered what should not be": _people,
}


def left_over(place: Place) -> dict[str, list[str]]:
    """What a cleanup of what is old should have taken and did not, and rows and files that do not agree."""
    stored = [path for path in place.files.root.glob("??/*") if path.is_file()]
    names = [path.name for path in stored]
    known = place.read(lambda session: file_owners.known(session, names))
    kept = {name for row in place.rows(_FILES) for name in json.loads(row.names)}
    found = {
        "every stored file has a row": [name for name in names if name not in known],
        "every row's file is there": [name for name in sorted(kept) if not place.files.exists(name)],
        "no temporary file is left": [str(path.relative_to(place.var_dir)) for path in _temporary(place)],
    }
    return {name: said[:_SHOWN] for name, said in found.items() if said}


_FILES = """
    select coalesce(json_agg(file), '[]')::text as names from (
        select file from speech_renditions union select file_name from curriculum_assets
        union select file from transcription_tasks where file is not null
        union select value ->> 'file' from wake_models, jsonb_each(files::jsonb)
    ) each
"""


def _temporary(place: Place) -> Iterator[Path]:
    for folder in (place.files.root / "unfinished", place.var_dir / "tmp"):
        yield from (path for path in folder.rglob("*") if path.is_file())
    for folders in (
        imports.folders(place.var_dir),
        wake_trainings.folders(place.var_dir),
        batches.folders(place.var_dir),
    ):
        for root in (folders.root, folders.uploads):
            yield from (path for path in root.glob("*") if path not in folders.kept)
