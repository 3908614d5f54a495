"""Many texts in one call: a job behind it, and for each text its own result or its own error."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any

from flask import g, request
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from app import context, speaking
from app.api.jobs import mine
from app.api.openai import Speech, what_is_wanted
from app.callbacks import CallbackUrl
from app.http import waiting
from app.http.access import CLIENT, OWN
from app.http.answers import Answer, Shown
from app.http.offload import offload
from app.http.parsing import Listing, Text, one_of
from app.speaking import Wanted
from app.speech_ended import location
from app.surfaces import OPENAI, SurfaceBlueprint
from config.voices import background_lane
from models.errors import Invalid, ModelError, NotFound
from models.jobs import queries
from models.jobs.lifecycle import NewItem
from models.jobs.tables import CANCELLED, ENDED, FAILED, QUEUED, SUCCEEDED, Job, JobItem
from tasks import submit

blueprint = SurfaceBlueprint("openai_batch", surface=OPENAI, description="Many texts in one call")

KIND = "speech.batch"
MAX_ITEMS = 256
# An answer is put together in memory, and while that is done nobody else is served.
MAX_ENCLOSED_BYTES = 16 * 2**20
_SHARED = ("model", "voice", "response_format", "speed", "instructions")
Body = dict[str, Any]


class Batch(Schema):
    """The texts, each of which may overrule what is said for all, and how the sound is sent."""

    class Meta:
        unknown = EXCLUDE

    items = Listing(fields.Raw(allow_none=True), required=True, validate=validate.Length(1, MAX_ITEMS))
    encoding = Text(load_default="url", maximum=10, validate=one_of(["url", "base64"]))
    callback_url = CallbackUrl()


class BatchShown(Shown):
    """What became of each text: under ``data`` a result or an error in the order of the texts."""

    id = fields.String(allow_none=True)
    object = fields.String()
    status = fields.String()
    succeeded = fields.Integer()
    failed = fields.Integer()
    data = fields.List(fields.Dict())


BATCH = {
    200: Answer(schema=BatchShown),
    202: Answer(schema=BatchShown, description="What is there so far; the rest goes on"),
}


@blueprint.endpoint("/v1/audio/speech/batch", access=CLIENT, methods=("POST",), answers=BATCH, refuses=(503,))
@blueprint.arguments(Batch)
def speak_all(body: Body) -> tuple[Body, int]:
    """A result or an error for each text; 202 with what is there so far when the rest takes longer."""
    shared = {name: value for name, value in request.get_json().items() if name in _SHARED}
    here = context.current()
    asked = [_read(shared, item) for item in body["items"]]
    wanted = [each for each in asked if isinstance(each, Wanted)]
    if not wanted:
        return _without_a_job(asked), 200
    pool = wanted[0].resolution.pool
    asked = [_in_one_pool(each, pool) for each in asked]
    params = {"encoding": body["encoding"], "asked": [_kept(each) for each in asked]}
    with here.hub.subscribed() as subscription:
        with here.database.transaction() as session:
            job, _ = submit.submit(
                session,
                KIND,
                lane=background_lane(pool),
                params=params,
                account_id=g.caller.account_id,
                items=[_item(each) for each in asked if isinstance(each, Wanted)],
                certain=True,
                callback_url=body["callback_url"],
            )
        subscription.job_id = job.id
        ending = waiting.Ending(job.id, subscription)
        # Whoever hangs up may come back for the result: the job is in the list of jobs.
        with suppress(waiting.ClientGone):
            if job.state not in ENDED:
                waiting.within(ending, here.settings.live_wait_seconds)
    return batch(job.id)


@blueprint.endpoint("/v1/audio/speech/batch/<job_id>", access=CLIENT, whose=OWN, answers=BATCH)
def batch(job_id: str) -> tuple[Body, int]:
    """What has become of each text."""
    here = context.current()
    with here.database.transaction(durable=False) as session:
        job = mine(session, job_id)
        if job.kind != KIND:
            raise NotFound(f"There is no batch {job_id!r}.")
        items = iter(queries.items(session, job.id, state=None, after=-1, limit=MAX_ITEMS))
    data: list[Body] = []
    room = MAX_ENCLOSED_BYTES
    for index, fault in enumerate(job.params["asked"]):
        if fault:
            data.append({"index": index, "status": "failed", "error": fault})
            continue
        item = next(items)
        data.append(shown := _shown(index, item, job))
        if item.result is not None and job.params["encoding"] == "base64":
            shown["audio"] = _enclosed(item.result, room)
            room -= shown["size_bytes"] if shown["audio"] else 0
    status = {SUCCEEDED: "completed", FAILED: "completed"}.get(job.state, job.state)
    return _answer(job.id, status, data), 200 if job.state in ENDED else 202


def _read(shared: Body, item: Any) -> Wanted | ModelError:
    """What an item asks for, or what is wrong with it: one bad text must not cost the others."""
    if not isinstance(item, dict):
        return Invalid(f"{str(item)[:60]!r} is not an object with an input")
    try:
        wanted = what_is_wanted(Speech().load(shared | item))
        wanted.resolution.require()
        return wanted
    except ValidationError as fault:
        found: Any = fault.messages
        name, texts = next(iter(found.items()))
        return Invalid(f"{name}: {' '.join(map(str, texts))}".rstrip("."), param=name)
    except ModelError as fault:
        return fault


def _in_one_pool(asked: Wanted | ModelError, pool: str) -> Wanted | ModelError:
    if isinstance(asked, Wanted) and asked.resolution.pool != pool:
        voice, engine = asked.resolution.voice.id, asked.resolution.engine
        return Invalid(
            f"voice {voice} speaks with {engine}, on other workers than this batch's first text; send it apart"
        )
    return asked


def _kept(asked: Wanted | ModelError) -> Body | None:
    return None if isinstance(asked, Wanted) else {"message": asked.message, "code": asked.code}


def _item(wanted: Wanted) -> NewItem:
    return NewItem({"clip": vars(wanted.spec), "form": vars(wanted.form)})


def _without_a_job(asked: list[Any]) -> Body:
    data = [{"index": index, "status": "failed", "error": _kept(fault)} for index, fault in enumerate(asked)]
    return _answer(None, "completed", data)


def _answer(job_id: str | None, status: str, data: list[Body]) -> Body:
    counts = {state: sum(item["status"] == state for item in data) for state in ("succeeded", "failed")}
    return {"id": job_id, "object": "audio.speech.batch", "status": status, **counts, "data": data}


def _shown(index: int, item: JobItem, job: Job) -> Body:
    if item.state == FAILED:
        return {"index": index, "status": "failed", "error": {"message": item.error_message, "code": item.error_code}}
    if item.state != SUCCEEDED or item.result is None:
        # What was not begun when the whole was cancelled never will be.
        given_up = job.state == CANCELLED and item.state == QUEUED
        return {"index": index, "status": CANCELLED if given_up else item.state}
    found = speaking.found_by(item.result)
    return {
        "index": index,
        "status": "succeeded",
        "url": location(found),
        "format": found.form.format,
        "size_bytes": found.size_bytes,
        "duration_seconds": found.duration_seconds,
        "cached": item.result["cached"],
    }


def _enclosed(made: Body, room_bytes: int) -> str | None:
    """The sound in base64; None where it does not fit, or the file is gone: ``url`` has it."""
    path = context.current().files.path(made["file"])
    if made["size_bytes"] > room_bytes or not path.exists():
        return None
    return offload(lambda: base64.b64encode(path.read_bytes()).decode())
