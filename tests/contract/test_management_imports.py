"""management.md and decisions.md: imports."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from models.imports import STAGES
from tests.conftest import OCW_PORT, eventually
from tests.contract.conftest import Reach, assert_refused
from tests.contract.document import Document, Request, assert_shaped
from tests.contract.headings import MANAGEMENT, documented
from tests.standing_in import DATA, LECTURES, SLUG, Site, ocw_pages, standing_in

DECISIONS = Document("decisions")
TEXT = "A course\n========\n\nThe first thing that is said.\n"


@pytest.fixture
def looked() -> Iterator[threading.Event]:
    """Set when a test has seen an import under way, and in the end: the worker is others', too."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def ocw(looked: threading.Event) -> Iterator[Site]:
    """MIT's server, as the worker knows it; in the middle of the archive it waits until we have looked."""
    with standing_in(OCW_PORT) as site:
        site.pages |= ocw_pages()
        archive = site.pages[f"/courses/{SLUG}/6.001-spring-2005.zip"]
        # Sent whole each time, however often this worker has had it.
        archive.gate, archive.tagged = lambda: (looked.wait(20), None)[1], False
        yield site


def words() -> dict[str, str]:
    """What decisions.md calls the states of an import."""
    rows = DECISIONS["State words shown"].rows
    return {row["stored"]: row["management imports"] for row in rows}


def until(reach: Reach, import_id: str, status: str) -> dict[str, Any]:
    """The import as soon as it has this status."""

    def look() -> Any:
        found = reach(MANAGEMENT["Get Import Status"].request, id=import_id)
        assert found.status_code == 200
        return found.get_json() if found.get_json()["status"] == status else None

    shown: dict[str, Any] = eventually(look, within_seconds=20)
    return shown


@documented("Start Import")
@documented("Get Import Status")
@documented("List Import Jobs")
def test_the_course_of_the_documents_is_imported_shown_and_listed(
    reach: Reach, worker: Any, ocw: Site, looked: threading.Event
) -> None:
    documented_status = MANAGEMENT["Get Import Status"].answer
    request = MANAGEMENT["Start Import"].request
    started = reach(request, body=request.body())
    assert started.status_code == 202
    shown = started.get_json()
    assert shown["status"] in (words()["queued"], words()["running"])
    (prefix,) = re.findall(r"`(import_)…`", DECISIONS.sentence("Integers: services"))
    assert shown["id"].startswith(prefix)
    assert documented_status["id"].startswith(prefix)
    under_way = until(reach, shown["id"], documented_status["status"])
    assert_shaped(under_way, documented_status)
    assert (under_way["current_stage"], under_way["stages_complete"]) == ("download", [])
    assert 0 <= under_way["progress"] < 1
    looked.set()
    done = until(reach, shown["id"], words()["succeeded"])
    assert_shaped(done | {"current_stage": "store"}, documented_status)
    assert done["current_stage"] is None
    assert done["stages_complete"] == list(STAGES)
    # The stages of the document are ours, in its order.
    in_document = [*documented_status["stages_complete"], documented_status["current_stage"]]
    assert in_document == list(STAGES[: len(in_document)])
    assert done["progress"] == 1.0
    course = reach(MANAGEMENT["Get Curriculum"].request, id=done["curriculum_id"]).get_json()
    assert course["title"] == DATA["course_title"]
    assert [[part["text"] for part in topic["segments"]] for topic in course["content"]] == [
        [text] for _, text in LECTURES.values()
    ]
    listed = reach(MANAGEMENT["List Import Jobs"].request)
    assert listed.status_code == 200
    assert listed.get_json() == {"imports": [done], "total": 1, "limit": 50, "offset": 0}


@documented("Cancel Import")
def test_an_import_is_cancelled_and_a_finished_one_removed(reach: Reach) -> None:
    request = MANAGEMENT["Start Import"].request
    sentence = DECISIONS.sentence("Deletes: 200")
    assert "`DELETE /api/imports/{id}`" in sentence
    # Nobody may have begun it by then, or somebody may; both are allowed.
    started = reach(request, body=request.body()).get_json()
    cancelled = reach(MANAGEMENT["Cancel Import"].request, id=started["id"])
    assert (cancelled.status_code, cancelled.get_json()["status"]) == (
        200,
        words()["failed / cancelled"].split(" / ")[1],
    )
    assert cancelled.get_json()["id"] == started["id"]
    removed = reach(MANAGEMENT["Cancel Import"].request, id=started["id"])
    assert (removed.status_code, set(removed.get_json())) == (200, {"message"})
    for title in ("Cancel Import", "Get Import Status"):
        assert_refused(reach(MANAGEMENT[title].request, id=started["id"]), 404, "NOT_FOUND")


def test_a_file_is_sent_as_a_form_with_the_fields_of_the_decisions(reach: Reach, worker: Any) -> None:
    sentence = DECISIONS.sentence("Uploads: `POST /api/imports`")
    assert "`source=file` and `file`" in sentence
    answer = reach.http.post(
        "/api/imports",
        data={"source": "file", "file": (io.BytesIO(TEXT.encode()), "course.txt")},
        base_url=reach.base_url,
        headers=reach.credential,
    )
    assert answer.status_code == 202, answer.text
    done = until(reach, answer.get_json()["id"], words()["succeeded"])
    course = reach(MANAGEMENT["Get Curriculum"].request, id=done["curriculum_id"]).get_json()
    assert "The first thing that is said." in str(course["content"])


def test_the_sources_are_told_with_their_parameters(reach: Reach) -> None:
    answer = reach(Request("GET", "/api/imports/sources", {}))
    assert answer.status_code == 200
    sources = {source["name"]: source["parameters"] for source in answer.get_json()["sources"]}
    example = MANAGEMENT["Start Import"].request.body()
    assert {each["name"] for each in sources[example.pop("source")]} == set(example)
    assert {"url", "file"} <= set(sources)
