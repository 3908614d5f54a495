"""What came of speech: where its file is found, or the error that whoever waited for it gets."""

from __future__ import annotations

from typing import NoReturn
from urllib.parse import urlencode

from app.sockets.hub import News
from models.errors import Conflict, Invalid, Unavailable
from models.speech_renditions import Found
from tasks import submit

# What ends a job although it could be done, later or by another worker.
PASSING = {
    *("disk_full", "worker_lost", "abandoned", "file_missing"),
    *("temporarily_unavailable", "engine_missing", "remote_unavailable"),
}


class SpeechFailed(Exception):
    """A text was not spoken for a reason that is nobody's business but ours; the log has it."""


def location(found: Found) -> str:
    """Where a rendition is found again."""
    given = {
        "sample_rate": found.form.sample_rate_hz,
        "channels": found.form.channels if found.form.channels != 1 else 0,
        "loudness_lufs": found.form.loudness_lufs,
    }
    query = urlencode({name: f"{value:g}" for name, value in given.items() if value})
    path = f"/api/speech/{found.clip_key}.{found.form.format}"
    return f"{path}?{query}" if query else path


def raise_failure(ended: News) -> NoReturn:
    """Turns the end of a job that did not succeed into the error its caller gets."""
    error = ended["error"]
    if error is None:
        raise Conflict(f"Job {ended['id']} was {ended['state']} while it was waited for.", state=ended["state"])
    if error["code"] in ("nothing_to_say", "bad_input"):
        raise Invalid(error["message"])
    if error["code"] in PASSING:
        raise Unavailable(error["message"], retry_after_seconds=submit.RETRY_AFTER_SECONDS, code=error["code"])
    raise SpeechFailed(f"job {ended['id']} {ended['state']}: {error}")
