"""``courses``: import, list, and have them spoken ahead of time."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.console import Console
from sqlalchemy.orm import Session

from app.api.curricula import whole
from app.api.jobs import detailed
from app.api.prefetch import prefetch
from app.cli import FAILED, OK, progress, reach
from app.cli.output import Failed, counted, show_columns, show_json
from app.course_content import ABOUT, Told, read_topics
from app.http.parsing import refuse_bad_text, sentences
from models import accounts, curricula
from models.base import iso
from models.curricula import Curriculum
from models.errors import Invalid
from models.jobs import queries
from models.jobs.tables import SUCCEEDED


def add(arguments: Namespace) -> int:
    """Stores a course from a file, with the checks of ``POST /api/curriculum``."""
    document = read(Path(arguments.file))
    if arguments.title:
        document["title"] = arguments.title
    with reach.database() as database, database.transaction() as session:
        course = store(session, document)
        outline = curricula.outline(session, course.id)
    if arguments.json:
        show_json(whole(course, outline))
        return OK
    segments = sum(len(segments) for _, segments in outline)
    print(f'Stored "{course.title}": {counted(len(outline), "topic")}, {counted(segments, "segment")}.')
    print(f"`python -m app courses prefetch {course.id} --wait` has it spoken.")
    return OK


def show_all(arguments: Namespace) -> int:
    """Lists the newest courses."""
    with reach.database() as database, database.transaction(durable=False) as session:
        found, total = curricula.page(session, limit=arguments.limit, offset=0)
    if arguments.json:
        shown = [
            {
                "id": each.curriculum.id,
                "title": each.curriculum.title,
                "topic_count": each.topic_count,
                "segment_count": each.segment_count,
                "created_at": iso(each.curriculum.created_at),
            }
            for each in found
        ]
        show_json({"curricula": shown, "total": total})
        return OK
    rows = [(each.curriculum.id, each.topic_count, each.segment_count, each.curriculum.title) for each in found]
    nothing = "There are no courses yet; `python -m app courses import FILE` stores one."
    show_columns(("ID", "TOPICS", "SEGMENTS", "TITLE"), rows, nothing=nothing)
    return OK


def speak(arguments: Namespace) -> int:
    """Has a course spoken in the background; with ``--wait`` shows how far it is."""
    with reach.application() as here:
        with here.database.transaction() as session:
            admin = accounts.find(session, "admin")
            job = prefetch(
                session,
                account_id=admin.id if admin else None,
                curriculum_id=arguments.id,
                topic_id=arguments.topic,
                voice_id=arguments.voice,
            )
        sentence = f"Job {job.id} speaks {counted(job.items_total, 'segment')}; `python -m app jobs watch {job.id}`"
        if arguments.wait:
            # Beside JSON, whatever is for people goes to standard error.
            console = Console(stderr=arguments.json)
            job, sentence = progress.show(here.database, job.id, console, "Speaking")
        if arguments.json:
            with here.database.transaction(durable=False) as session:
                show_json(detailed(session, queries.get(session, job.id)))
        else:
            print(sentence)
    return FAILED if arguments.wait and job.state != SUCCEEDED else OK


def read(path: Path) -> dict[str, Any]:
    """The course in a JSON file; ``-`` is standard input.

    Raises:
        Failed: the file cannot be read, or is not JSON.
    """
    piped = str(path) == "-"
    name = "Standard input" if piped else str(path)
    try:
        document = json.loads(sys.stdin.read() if piped else path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise Failed(f"{name} cannot be read: {fault.strerror}.") from None
    except (ValueError, RecursionError) as fault:
        raise Failed(f"{name} is not JSON: {fault}.") from None
    if not isinstance(document, dict):
        raise Failed(f"{name} is not a course: an object with title and content is expected.")
    return document


def store(session: Session, document: dict[str, Any]) -> Curriculum:
    """The stored course.

    Raises:
        Invalid: naming what of it cannot be read.
        Conflict: an id in it is taken.
    """
    refuse_bad_text(document, "")
    title, description, content = (document.get(name) for name in ("title", "description", "content"))
    if not isinstance(title, str) or not 1 <= len(title.strip()) <= 500:
        raise Invalid(f"title: {title!r:.60} is not a text of 1 to 500 characters (--title gives another)")
    if not isinstance(description or "", str):
        raise Invalid(f"description: {description!r:.60} is not a text")
    if not isinstance(content, list):
        raise Invalid(f"content: {content!r:.60} is not a list of topics")
    about = {name: document[name] for name in ABOUT if document.get(name) is not None}
    if faults := Told().validate(about):
        raise Invalid("; ".join(sentences(faults, "")))
    admin = accounts.find(session, "admin")
    return curricula.create(
        session,
        title=title,
        description=description or "",
        topics=read_topics(content),
        extra=about,
        account_id=admin.id if admin else None,
    )
