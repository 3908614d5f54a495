"""Texts that transcribers handed in, written to Label Studio after the commit that took them, and until they are."""

from __future__ import annotations

import logging
from functools import cache

from models.transcription import delivering
from models.transcription.delivering import Claimed
from tasks import judging
from tasks.process import Process, current
from tasks.senders import Senders
from workers.clients.label_studio import LabelStudio, Project, TaskGone
from workers.errors import WorkError

log = logging.getLogger(__name__)

# It takes four texts a second, whoever asks.
SENDERS = 2
_RECEIVER = "Label Studio"


def deliver() -> None:
    """Judges what came, starts senders for what is due, and waits a moment for them."""
    judging.judge(current().database)
    senders.start()


def server(process: Process) -> LabelStudio | None:
    """The Label Studio of the settings; None where there is none."""
    settings = process.settings
    if not settings.label_studio_url:
        return None
    return _server(settings.label_studio_url, settings.label_studio_api_key or "", settings.label_studio_project_id)


@cache
def _server(url: str, api_key: str, project_id: int) -> LabelStudio:
    return LabelStudio(url, api_key, project_id)


@cache
def _project(studio: LabelStudio) -> Project:
    # What it is called and where texts go does not change under way; asked once in the life of a worker.
    return studio.project()


def _send(process: Process, claimed: Claimed) -> None:
    studio = server(process)
    persist = process.database.persist
    if studio is None:
        persist(lambda session: delivering.put_off(session, claimed, "There is no Label Studio (LABEL_STUDIO_URL)."))
        return
    try:
        number = studio.annotate(
            _project(studio),
            claimed.task_id,
            claimed.text,
            unique_id=claimed.unique_id,
            worked_seconds=claimed.worked_seconds,
        )
    except TaskGone as fault:
        problem = fault.message
        log.warning("Text %s comes to nothing: %s", claimed.id, problem)
        persist(lambda session: delivering.task_is_gone(session, claimed, problem))
    except WorkError as fault:
        problem = fault.message
        log.warning("Text %s is not written yet: %s", claimed.id, problem)
        persist(lambda session: delivering.put_off(session, claimed, problem))
    else:
        persist(lambda session: delivering.written(session, claimed, number))


senders = Senders[Claimed](
    "annotation",
    most=SENDERS,
    to_one=SENDERS,
    claim=lambda session, busy: None if _RECEIVER in busy else delivering.claim(session),
    receiver=lambda _: _RECEIVER,
    send=_send,
)
