"""``speak``: a text into a file."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from flask import current_app

from app.api import auth
from app.cli import OK, reach
from app.cli.output import Failed, duration, show_json
from app.context import Context
from models import accounts


def speak(arguments: Namespace) -> int:
    """Has a text spoken for somebody who waits, and writes the file whole or not at all."""
    text = sys.stdin.read() if arguments.text == "-" else arguments.text
    output = Path(arguments.output)
    if output.is_dir():
        raise Failed(f"{output} is a folder; name a file in it.")
    if not output.parent.is_dir():
        raise Failed(f"There is no folder {output.parent}.")
    wanted = {
        "text": text,
        "voice_id": arguments.voice,
        "speed": arguments.speed,
        "format": arguments.format or output.suffix.removeprefix(".").lower() or "wav",
    }
    began = time.monotonic()
    with reach.application() as here:
        sound, headers = _ask(here, wanted)
        here.counters.flush(here.redis, here.database)
    took = time.monotonic() - began
    _write(output, sound)
    spoken_seconds = float(headers["X-TTS-Duration-Seconds"])
    cache, engine = headers["X-TTS-Cache-Status"], headers["X-TTS-Provider"]
    if arguments.json:
        shown = {
            "file": str(output),
            "size_bytes": len(sound),
            "duration_seconds": spoken_seconds,
            "cache_status": cache,
            "engine": engine,
            "took_seconds": round(took, 3),
        }
        show_json(shown)
    else:
        print(f"{output}: {duration(spoken_seconds)} of speech by {engine}, {cache}, in {duration(took)}")
    return OK


def _ask(here: Context, wanted: dict[str, Any]) -> tuple[bytes, Any]:
    """The sound and its headers from the application's own endpoint, called without a server between.

    That way a text is checked, found, waited for and counted as for every client, and a Ctrl-C frees the worker.
    """
    with here.database.transaction(durable=False) as session:
        admin = accounts.find(session, "admin")
    if admin is None:
        raise Failed("There is no user admin to speak for; `python -m app migrate` makes one.")
    token = auth.sign_in(admin.id)["access_token"]
    answer = current_app.test_client().post("/api/tts", json=wanted, headers={"Authorization": f"Bearer {token}"})
    with answer:
        if answer.status_code != 200:
            told = answer.get_json(silent=True) or {}
            mend = " `python -m app doctor` says what is wrong." if answer.status_code >= 500 else ""
            raise Failed(f"{told.get('error', answer.status)}{mend}")
        return answer.get_data(), answer.headers


def _write(output: Path, sound: bytes) -> None:
    """Writes a file that is whole as soon as it is there."""
    # What a link points to is replaced, not the link.
    target = output.resolve()
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if target.exists() and not target.is_file():
            # A device or a pipe can only be written into.
            target.write_bytes(sound)
            return
        try:
            draft.write_bytes(sound)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as fault:
        raise Failed(f"{output} cannot be written: {fault.strerror}.") from None
