"""What a newcomer sees once everything runs: a course being spoken, and where to go."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from redis import RedisError
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.api import auth
from app.api.prefetch import KIND, prefetch
from app.cli import courses, progress, reach
from app.cli.output import Failed, counted, duration
from app.context import Context
from config.settings import Settings
from config.supervisor import say
from config.voices import catalogue
from models import accounts, curricula, speech_clips, speech_voices, workers
from models.curricula import Curriculum
from models.errors import ModelError, Unavailable
from models.jobs import queries
from models.jobs.tables import QUEUED, RUNNING

SAMPLE = Path(__file__).parents[1] / "samples" / "longitude.json"
# Loading the engine takes a second or two, with all else that starts then ten on a slow core.
WORKER_SECONDS = 60.0


def welcome(configured: Settings, *, sample: bool) -> None:
    """Shows where to go; with ``sample`` first has the sample course spoken, so that there is something to hear.

    What goes wrong here is told and stops nothing: the services run.
    """
    with reach.inside(configured) as here:
        try:
            if sample:
                speak_sample(here, Console())
            # What a service prints is kept in journals, where nobody's token belongs.
            links = _links(here) if sample or sys.stdout.isatty() else [("Listen", f"{address(configured)}/")]
        except (Failed, ModelError, SQLAlchemyError, RedisError) as fault:
            say(f"Not all is as it should be: {str(fault).splitlines()[0]} `python -m app doctor` says more.")
            links = []
    shown = [*links, *_addresses(configured)]
    width = max(len(name) for name, _ in shown)
    say("\n" + "\n".join(f"  {name.ljust(width)}  {value}" for name, value in shown) + "\n")
    if configured.open_surfaces:
        say(f"ANYBODY who reaches it may use: {', '.join(sorted(configured.open_surfaces))} (OPEN_SURFACES).")
    if not configured.rate_limits:
        say("NOBODY is held back from asking too often, nor from guessing passwords (RATE_LIMITS=off).")


def speak_sample(here: Context, console: Console) -> None:
    """Stores the sample course if it is not there, and has it spoken if it is not.

    Raises:
        Unavailable: no worker came that could speak it.
    """
    with here.database.transaction() as session:
        course = _sample(session)
        segments, ready_seconds = _readiness(session, course)
    if len(ready_seconds) == segments:
        say(f'"{course.title}" is ready: {counted(segments, "segment")}, {duration(sum(ready_seconds))} of speech.')
        return
    say(f'Speaking "{course.title}", a course in {counted(segments, "segment")} ...')
    with console.status("Waiting for the first speech worker"):
        job_id = _unfinished(here, course) or _begin(here, course)
    _, sentence = progress.show(here.database, job_id, console, "Speaking")
    say(sentence)


def _sample(session: Session) -> Curriculum:
    document = courses.read(SAMPLE)
    return curricula.by_title(session, document["title"]) or courses.store(session, document)


def _readiness(session: Session, course: Curriculum) -> tuple[int, list[float]]:
    """How many segments the course has, and the length of each that was spoken already."""
    resolution = speech_voices.resolve(workers.engines(session), None, None)
    keys = [resolution.clip(segment.text, 1.0).key for segment in curricula.segments(session, course.id)]
    ready = speech_clips.ready_keys(session, keys)
    return len(keys), [ready[key] for key in keys if key in ready]


def _unfinished(here: Context, course: Curriculum) -> str | None:
    """The job of a former start that was interrupted."""
    wanted = {"curriculum_id": course.id, "topic_id": None, "voice_id": catalogue().default_voice}
    with here.database.transaction(durable=False) as session:
        for state in (RUNNING, QUEUED):
            for job in queries.page(session, kind=KIND, state=state, limit=20):
                if {**job.params, **wanted} == job.params:
                    return job.id
    return None


def _begin(here: Context, course: Curriculum) -> str:
    gives_up = time.monotonic() + WORKER_SECONDS
    while True:
        try:
            with here.database.transaction() as session:
                return prefetch(session, account_id=course.account_id, curriculum_id=course.id).id
        except Unavailable:
            if time.monotonic() > gives_up:
                raise
        time.sleep(progress.POLL_SECONDS)


def _links(here: Context) -> list[tuple[str, str]]:
    with here.database.transaction(durable=False) as session:
        admin = accounts.find(session, "admin")
    if admin is None or admin.disabled:
        return []
    token = auth.sign_in(admin.id)["access_token"]
    valid = duration(here.settings.access_token_seconds)
    return [("Listen", f"{address(here.settings)}/#token={token}"), ("", f"(this link signs you in, for {valid})")]


def _addresses(configured: Settings) -> list[tuple[str, str]]:
    kept = "FLOWER_PASSWORD" if configured.configured_flower_password else configured.flower_password_path
    return [
        ("API", f"{address(configured)} (described at /docs)"),
        ("MCP", f"{address(configured, configured.mcp_port)}/mcp (tools, for Claude and other programs)"),
        ("Flower", f"{address(configured, configured.flower_port)} (the workers and what they do)"),
        ("", f"(user admin, password in {kept})"),
        ("Logs", str(configured.var_dir / "log")),
    ]


def address(configured: Settings, port: int | None = None) -> str:
    """The URL under which this machine reaches a port of ours, by default the first of the API."""
    host = reach.local(configured.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port or configured.ports[0]}"
