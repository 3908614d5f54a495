"""How a training gets into the queue: the clips first, then its job and all that belongs to it, at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import g
from marshmallow import fields

from app import context
from app.context import Context
from app.http.answers import Shown
from app.wake_form import CAPTURES, FALSE_ALARMS, MISSES, OPTION_NAMES, RECORDINGS, SentClip
from models import wake_captures, wake_models, wake_trainings, workers
from models.accounts import Caller
from models.errors import Unavailable
from models.wake_trainings import KIND, LANE
from tasks import submit
from workers.wakeword.options import resolved

_NO_NEGATIVES = (
    "The negative cache is empty, so nothing is learned from people who say something else, and there will be more "
    "false alarms: build it first (POST /api/cache/build)."
)


class TrainingStarted(Shown):
    """A training that was accepted; ``warnings`` only where there are some."""

    promised = frozenset({"job_id", "status", "message"})

    job_id = fields.String()
    status = fields.String()
    message = fields.String()
    warnings = fields.List(fields.String())


def require_able(wake_word: str, here: Context | None = None) -> None:
    """Makes sure that a training of the word could be begun, before its clips are looked at.

    Raises:
        Unavailable: nobody here trains.
        Conflict: a training of the word is unfinished.
    """
    with (here or context.current()).database.transaction(durable=False) as session:
        if not workers.able(session, LANE):
            raise unable("Nobody here trains wake words")
        wake_trainings.hold(session, wake_models.slug_of(wake_word))


def unable(what: str) -> Unavailable:
    """That no worker does what takes the training part."""
    return Unavailable(
        f"{what}: no worker of lane {LANE} is running. `make train` installs what it needs; then start Voiceworks "
        "again.",
        retry_after_seconds=60,
        lane=LANE,
    )


def begin(
    wake_word: str,
    body: Mapping[str, Any],
    sent: Sequence[SentClip],
    *,
    earlier: Sequence[Mapping[str, Any]] = (),
    here: Context | None = None,
    caller: Caller | None = None,
) -> dict[str, Any]:
    """The training's answer; ``earlier`` are recordings that are stored already.

    Both ``here`` and ``caller`` are named where no request is served.

    Raises:
        Conflict: a training of the word is unfinished.
        Unavailable: nobody here trains.
    """
    here = here or context.current()
    requested = body["model_type"]
    used, reason = resolved(requested, has_ast=bool(here.settings.ast_folder))
    options = {name: body[name] for name in OPTION_NAMES}
    warnings = [text for clip in sent for text in clip.warnings]
    negatives = wake_trainings.folders(here.settings.var_dir).negatives
    if options["use_real_negatives"] and not any(negatives.glob("*/source.json")):
        warnings.append(_NO_NEGATIVES)
    stored = [(clip.use, clip.stored()) for clip in sent]
    slug, account_id = wake_models.slug_of(wake_word), (caller or g.caller).account_id
    with here.database.transaction() as session:
        wake_trainings.hold(session, slug)
        wake_trainings.hold_negatives(session)
        for use, kind in CAPTURES.items():
            for clip in (clip for its_use, clip in stored if its_use == use):
                about = {name: clip[name] for name in ("file", "size_bytes", "duration_seconds")}
                wake_captures.add(session, slug=slug, kind=kind, account_id=account_id, **about)
        job, _ = submit.submit(
            session,
            KIND,
            lane=LANE,
            params={
                "wake_word": wake_word,
                "model_type": requested,
                "options": options,
                **{name: body[name] for name in ("seed", "target_false_accepts_per_hour")},
            },
            resolution={"model_type_requested": requested, "model_type_used": used, "reason": reason},
            account_id=account_id,
            callback_url=body["callback_url"],
        )
        recordings = [*earlier, *(clip for use, clip in stored if use == RECORDINGS)]
        captured = {use: _captured(session, slug, CAPTURES[use]) for use in (FALSE_ALARMS, MISSES)}
        wake_trainings.add(
            session, job, wake_word=wake_word, clips={RECORDINGS: recordings, **captured}, warnings=warnings
        )
        answer = {"job_id": job.id, "status": wake_trainings.STATUS[job.state], "message": "Training job created"}
    return answer | ({"warnings": warnings} if warnings else {})


def _captured(session: Any, slug: str, kind: str) -> list[dict[str, Any]]:
    return [
        {
            "file": each.file,
            "name": each.id,
            "size_bytes": each.size_bytes,
            "duration_seconds": each.duration_seconds,
        }
        for each in wake_captures.newest(session, slug, kind)
    ]
