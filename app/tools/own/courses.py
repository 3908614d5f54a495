"""Courses as tools: list, read, search, have them spoken ahead, bring them in, remove them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.api import imports
from app.api.curricula import Removal, Search, listed, searched, whole
from app.api.imports import NewImport
from app.api.prefetch import Prefetch, prefetch, started
from app.http.access import CLIENT
from app.http.parsing import MAX_PAGE, Paging
from app.speaking import MAX_SPEED, MIN_SPEED
from app.tools.own import Asked, OwnTool
from app.tools.reading import read
from models import curricula, curricula_changes
from workers.importers.source import SOURCES

_COURSE = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "required": True,
    "description": "The id of the course, as courses_list or course_search gives it",
}
_TOPIC = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "description": "The id of a topic of the course, as course_get gives it",
}
_PAGING = {
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_PAGE,
        "default": 50,
        "description": "How many courses at most",
    },
    "offset": {
        "type": "integer",
        "minimum": 0,
        "default": 0,
        "description": "How many courses of the list to pass over",
    },
}


def _list(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    return listed(asked.here, **read(Paging(), arguments))


def _get(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    course_id, topic_id = arguments["course_id"], arguments.get("topic_id")
    with asked.here.database.snapshot() as session:
        course = curricula.get(session, course_id)
        if topic_id is not None:
            curricula.topic(session, course_id, topic_id)
        found = whole(course, curricula.outline(session, course_id))
    # A course may be a book: the texts are read topic by topic.
    topics = [
        {name: topic[name] for name in ("id", "title", "description")}
        | {"segment_count": len(topic["segments"])}
        | ({"segments": topic["segments"]} if topic["id"] == topic_id else {})
        for topic in found.pop("content")
        if topic_id in (None, topic["id"])
    ]
    return found | {"topics": topics}


def _search(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    return searched(asked.here, **read(Search(), arguments, query="q"))


def _prefetch(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    body = read(Prefetch(), arguments, course_id="curriculum_id", voice="voice_id")
    with asked.here.database.transaction() as session:
        job = prefetch(session, account_id=asked.caller.account_id, **body)
    return started(job)


def _import(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    here, source = asked.here, SOURCES["url"]
    # Never into a course that is named: a tool that overwrites one would have to be confirmed each time.
    body = read(NewImport(), {"source": source.name, **arguments})
    url = imports.public(body["url"], here.settings)
    made = imports.begin(here, asked.caller, source, {"url": url}, body)
    return {"job_id": made["id"], "status": made["status"], "status_url": f"/api/imports/{made['id']}"}


def _delete(asked: Asked, arguments: Mapping[str, Any]) -> Any:
    course_id = arguments["course_id"]
    force = read(Removal(), {name: value for name, value in arguments.items() if name == "force"})["force"]
    with asked.here.database.transaction() as session:
        curricula_changes.remove(session, course_id, force=force)
    return {"message": f"Course {course_id} was removed."}


TOOLS = (
    OwnTool(
        "courses_list",
        "Lists the courses, the newest first, with how many topics and segments each has.",
        _PAGING,
        _list,
        access=CLIENT,
    ),
    OwnTool(
        "course_get",
        "Gives a course with its topics in order; with topic_id that topic alone, with the texts of its segments.",
        {"course_id": _COURSE, "topic_id": _TOPIC},
        _get,
        access=CLIENT,
    ),
    OwnTool(
        "course_search",
        "Finds the courses in which words occur, the best first, with the places where they do.",
        {
            "query": {
                "type": "string",
                "minLength": 1,
                "maxLength": 500,
                "required": True,
                "description": 'Words that must all occur; also "a phrase", or, and -not',
            },
            **_PAGING,
        },
        _search,
        access=CLIENT,
    ),
    OwnTool(
        "course_prefetch",
        "Starts a job that speaks a course, or one topic of it, ahead of time, so that nobody waits for it.",
        {
            "course_id": _COURSE,
            "topic_id": _TOPIC,
            "voice": {
                "type": "string",
                "minLength": 1,
                "maxLength": 100,
                "description": "The id of a voice, as voices_list gives it; without it the default voice",
            },
            "speed": {
                "type": "number",
                "minimum": MIN_SPEED,
                "maximum": MAX_SPEED,
                "default": 1.0,
                "description": "How fast, 1 being the voice's own pace",
            },
        },
        _prefetch,
        read_only=False,
        access=CLIENT,
    ),
    OwnTool(
        "course_import",
        "Starts a job that reads a course from a public address: a page, an EPUB, a Common Cartridge, or a zip of "
        "texts.",
        {
            "url": {
                "type": "string",
                "format": "uri",
                "minLength": 1,
                "maxLength": 2000,
                "required": True,
                "description": "Where the course is: http or https, without credentials",
            },
            "title": {
                "type": "string",
                "minLength": 1,
                "maxLength": 500,
                "description": "What it is called here, where not by its own title",
            },
            "accept_license": {
                "type": "boolean",
                "default": False,
                "description": "Whether a course is taken whose licence is not clear",
            },
            "dry_run": {
                "type": "boolean",
                "default": False,
                "description": "Whether it is only shown what would be stored",
            },
        },
        _import,
        read_only=False,
        access=CLIENT,
    ),
    OwnTool(
        "course_delete",
        "Removes a course; what was spoken of it stays.",
        {
            "course_id": _COURSE,
            "force": {
                "type": "boolean",
                "default": False,
                "description": "Whether jobs that work on it are cancelled and sessions that play it ended",
            },
        },
        _delete,
        read_only=False,
        destructive=True,
        access=CLIENT,
    ),
)
