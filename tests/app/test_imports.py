"""Imports over HTTP: what is taken, what is refused before it becomes a job, who sees what."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import create_app
from app.api import imports as api
from config.settings import Settings
from models import imports
from models.db import Database
from models.jobs import lifecycle
from models.jobs.tables import Job
from tests import making
from tests.described import DescribedClient

MIB = 2**20
PATH = "/api/imports"
OCW = {"source": "mit_ocw", "course_id": "6.001"}
RESULT = {
    "title": "A course",
    "language": "en",
    "licence": None,
    "attribution": "",
    "authors": [],
    "topic_count": 1,
    "segment_count": 2,
    "asset_count": 0,
    "image_count": 0,
    "reading_seconds": 3.5,
    "notes": ["So it is."],
}
OUTLINE = [
    {"title": "One", "segment_count": 2, "reading_seconds": 3.5, "language": "en", "objectives": [], "begins": "It is."}
]


@pytest.fixture(autouse=True)
def lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody takes what is submitted: a worker of other tests may still be there."""
    assert api.LANE == "imports"
    monkeypatch.setattr(api, "LANE", making.LANE)


@pytest.fixture
def settings(configured: Settings, tmp_path: Path) -> Settings:
    """Those of a web process with a folder of its own that takes a megabyte at most and reaches nothing private."""
    return dataclasses.replace(configured, var_dir=tmp_path, max_upload_mb=1, import_allow_private=False)


@pytest.fixture
def http(settings: Settings, clean: None) -> Iterator[FlaskClient]:
    """A client of it, that holds every answer against the description."""
    app = create_app(settings)
    app.test_client_class = DescribedClient
    yield app.test_client()
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()


def uploads(settings: Settings) -> list[Path]:
    """What was sent and kept."""
    return sorted(imports.folders(settings.var_dir).uploads.glob("*"))


def send(
    http: FlaskClient, headers: dict[str, str], content: bytes = b"A course.", name: str = "course.txt", **fields: str
) -> TestResponse:
    """The answer to a form with a file."""
    form: dict[str, Any] = {"source": "file", "file": (io.BytesIO(content), name)} | fields
    return http.post(PATH, data=form, headers=headers)


def ended(database: Database, job_id: str, **result: Any) -> None:
    """The import, finished by some worker."""
    with database.transaction() as session:
        job = session.get_one(Job, job_id)
        job.state, job.progress, job.result, job.phase = "succeeded", 1.0, RESULT | result, "store"


def test_an_import_is_accepted_as_a_job_of_the_same_id(
    http: FlaskClient, customer: dict[str, str], database: Database
) -> None:
    answer = http.post(PATH, json=OCW | {"title": "Mine", "dry_run": True}, headers=customer)
    shown = answer.get_json()
    assert answer.status_code == 202
    assert (shown["status"], shown["progress"], shown["source"]) == ("pending", 0.0, "mit_ocw")
    assert (shown["stages_complete"], shown["current_stage"]) == ([], None)
    assert (shown["parameters"], shown["dry_run"]) == ({"course_id": "6.001"}, True)
    assert (shown["course"], shown["outline"], shown["curriculum_id"], shown["error"]) == (None, None, None, None)
    assert http.get(f"/api/jobs/{shown['id']}", headers=customer).get_json()["kind"] == imports.KIND
    with database.transaction() as session:
        job = session.get_one(Job, shown["id"])
    assert job.lane == making.LANE
    assert job.params["asked"] == {"course_id": "6.001"}


def test_a_file_is_kept_whole_until_it_is_imported(
    http: FlaskClient, customer: dict[str, str], settings: Settings, database: Database
) -> None:
    content = bytes(range(256)) * 2000
    answer = send(http, customer, content, r"..\..\etc/my course.zip", accept_license="true", nonsense="x")
    shown = answer.get_json()
    assert (answer.status_code, shown["parameters"]) == (202, {"file": "my course.zip"})
    (kept,) = uploads(settings)
    assert kept.read_bytes() == content
    with database.transaction() as session:
        params = session.get_one(Job, shown["id"]).params
    assert (params["asked"]["upload"], params["accept_license"]) == (kept.name, True)


def test_the_same_form_under_a_key_is_taken_once(
    http: FlaskClient, customer: dict[str, str], settings: Settings
) -> None:
    keyed = customer | {"Idempotency-Key": "once"}
    first, again = (send(http, keyed) for _ in range(2))
    assert again.headers["Idempotent-Replay"] == "true"
    assert first.get_json()["id"] == again.get_json()["id"]
    assert len(uploads(settings)) == 1


# --- Refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [MIB + 1, 2 * MIB - 2000, 3 * MIB], ids=["a byte", "as much as its form may have", "far"]
)
def test_a_file_beyond_what_may_be_sent_is_a_413_and_not_kept(
    http: FlaskClient, customer: dict[str, str], settings: Settings, size: int
) -> None:
    answer = send(http, customer, b"x" * size)
    assert (answer.status_code, answer.get_json()["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert set(answer.get_json()) == {"error", "code", "details"}
    assert uploads(settings) == []
    assert send(http, customer, b"x" * MIB).status_code == 202


def test_a_file_may_be_larger_than_other_bodies(
    client: FlaskClient, customer: dict[str, str], configured: Settings
) -> None:
    before = uploads(configured)
    assert send(client, customer, b"x" * 17 * MIB).status_code == 202
    for path in set(uploads(configured)) - set(before):
        path.unlink()
    # A repeatable request is read whole, and kept small therefore.
    answer = send(client, customer | {"Idempotency-Key": "large"}, b"x" * 17 * MIB)
    assert answer.status_code == 413


BAD = [
    ({}, "source"),
    ({"source": "gopher"}, "mit_ocw, url, file"),
    ({"source": "mit_ocw"}, "course_id"),
    ({"source": "mit_ocw", "course_id": " "}, "course_id"),
    ({"source": "mit_ocw", "course_id": 6001}, "6001"),
    ({"source": "mit_ocw", "course_id": "6.001", "url": "https://example.org/"}, "url"),
    ({"source": "url"}, "url"),
    ({"source": "url", "url": "ftp://example.org/a.zip"}, "http"),
    ({"source": "url", "url": "http://me:secret@example.org/"}, "credentials"),
    ({"source": "url", "url": "http://127.0.0.1/"}, "IMPORT_ALLOW_PRIVATE"),
    ({"source": "url", "url": "http://0x7f.1/"}, "IMPORT_ALLOW_PRIVATE"),
    ({"source": "url", "url": "http://169.254.169.254/latest/meta-data"}, "IMPORT_ALLOW_PRIVATE"),
    ({"source": "url", "url": "http://[::1]/"}, "IMPORT_ALLOW_PRIVATE"),
    ({"source": "url", "url": "http://localhost/"}, "IMPORT_ALLOW_PRIVATE"),
    ({"source": "file"}, "multipart/form-data"),
    (OCW | {"title": ""}, "title"),
    (OCW | {"nonsense": 1}, "nonsense"),
    (OCW | {"dry_run": "perhaps"}, "dry_run"),
    (OCW | {"callback_url": "nowhere"}, "callback_url"),
    (OCW | {"course_id": "6\0"}, "NUL"),
]


@pytest.mark.parametrize(("body", "named"), BAD, ids=[str(body) for body, _ in BAD])
def test_what_cannot_be_imported_is_refused_by_name(
    http: FlaskClient, customer: dict[str, str], body: dict[str, Any], named: str
) -> None:
    answer = http.post(PATH, json=body, headers=customer)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "VALIDATION_ERROR")
    assert named in answer.get_json()["error"]
    assert "secret" not in answer.text
    assert http.get(PATH, headers=customer).get_json()["total"] == 0


def test_a_form_that_cannot_be_imported_is_refused_and_nothing_kept(
    http: FlaskClient, customer: dict[str, str], settings: Settings
) -> None:
    for form, status, named in (
        ({"source": "file"}, 400, "file"),
        ({"source": "file", "file": (io.BytesIO(b""), "empty.txt")}, 400, "empty"),
        ({"source": "file", "file": "no file at all"}, 400, "file"),
        ({"source": "file", "file": (io.BytesIO(b"x"), "a.txt"), "curriculum_id": "gone"}, 404, "gone"),
        ({"source": "file", "file": (io.BytesIO(b"x"), "a.txt"), "dry_run": "perhaps"}, 400, "dry_run"),
        ({"file": (io.BytesIO(b"x"), "a.txt")}, 400, "source"),
        ({}, 400, ""),
    ):
        answer = http.post(PATH, data=form, headers=customer, content_type="multipart/form-data")
        assert (answer.status_code, named in answer.get_json()["error"]) == (status, True), answer.text
    assert uploads(settings) == []


# --- Shown --------------------------------------------------------------------------------------------------------


def test_a_client_sees_its_own_imports_and_an_admin_all(
    http: FlaskClient, customer: dict[str, str], admin: dict[str, str]
) -> None:
    mine = http.post(PATH, json=OCW, headers=customer).get_json()["id"]
    theirs = http.post(PATH, json=OCW, headers=admin).get_json()["id"]
    assert [each["id"] for each in http.get(PATH, headers=customer).get_json()["imports"]] == [mine]
    assert [each["id"] for each in http.get(PATH, headers=admin).get_json()["imports"]] == [theirs, mine]
    for method in ("GET", "DELETE"):
        for hidden in (theirs, "nothing"):
            answer = http.open(f"{PATH}/{hidden}", method=method, headers=customer)
            assert (answer.status_code, answer.get_json()["code"]) == (404, "NOT_FOUND")
            assert hidden in answer.get_json()["error"]


def test_a_job_of_another_kind_is_no_import(http: FlaskClient, admin: dict[str, str], database: Database) -> None:
    other = making.submit(database)
    assert http.get(f"{PATH}/{other.id}", headers=admin).status_code == 404
    assert http.get(PATH, headers=admin).get_json()["total"] == 0


def test_the_list_has_pages_and_may_be_of_one_status(
    http: FlaskClient, customer: dict[str, str], database: Database
) -> None:
    ids = [http.post(PATH, json=OCW, headers=customer).get_json()["id"] for _ in range(3)]
    ended(database, ids[0], curriculum_id="c")
    page = http.get(f"{PATH}?limit=1&offset=1", headers=customer).get_json()
    assert ([each["id"] for each in page["imports"]], page["total"]) == ([ids[1]], 3)
    for status, found in (("pending", [ids[2], ids[1]]), ("completed", [ids[0]]), ("failed", [])):
        listed = http.get(f"{PATH}?status={status}", headers=customer).get_json()
        assert ([each["id"] for each in listed["imports"]], listed["total"]) == (found, len(found))
    assert "pending" in http.get(f"{PATH}?status=queued", headers=customer).get_json()["error"]


def test_a_preview_is_shown_with_its_outline_alone_and_without_it_in_a_list(
    http: FlaskClient, customer: dict[str, str], database: Database
) -> None:
    made = http.post(PATH, json=OCW | {"dry_run": True}, headers=customer).get_json()["id"]
    ended(database, made, outline=OUTLINE, curriculum_id=None)
    shown = http.get(f"{PATH}/{made}", headers=customer).get_json()
    assert (shown["outline"], shown["course"]) == (OUTLINE, RESULT)
    assert shown["stages_complete"] == list(imports.STAGES[:-1])
    (listed,) = http.get(PATH, headers=customer).get_json()["imports"]
    assert listed == shown | {"outline": None}


def test_each_state_has_its_word_and_its_stage(http: FlaskClient, customer: dict[str, str], database: Database) -> None:
    made = http.post(PATH, json=OCW, headers=customer).get_json()["id"]

    def look() -> tuple[str, str | None, list[str]]:
        shown = http.get(f"{PATH}/{made}", headers=customer).get_json()
        return shown["status"], shown["current_stage"], shown["stages_complete"]

    with database.transaction() as session:
        job = session.get_one(Job, made)
        job.state, job.token = "running", "held"
    # It was taken a moment ago.
    assert look() == ("processing", "download", [])
    with database.transaction() as session:
        session.get_one(Job, made).phase = "enrich"
    before = ["download", "validate", "extract"]
    assert look() == ("processing", "enrich", before)
    assert http.post(f"/api/jobs/{made}/pause", headers=customer).status_code == 200
    assert look() == ("paused", "enrich", before)
    assert http.post(f"/api/jobs/{made}/resume", headers=customer).status_code in (200, 503)
    assert http.delete(f"{PATH}/{made}", headers=customer).get_json()["status"] == "cancelled"
    assert look() == ("cancelled", "enrich", before)
    assert "removed" in http.delete(f"{PATH}/{made}", headers=customer).get_json()["message"]


def test_a_failure_is_told_with_its_words(http: FlaskClient, customer: dict[str, str], database: Database) -> None:
    made = http.post(PATH, json=OCW, headers=customer).get_json()["id"]
    with database.transaction() as session:
        job = session.get_one(Job, made)
        job.state, job.phase, job.error_code, job.error_message = (
            "failed",
            "validate",
            "unsafe_archive",
            "It is a bomb.",
        )
    shown = http.get(f"{PATH}/{made}", headers=customer).get_json()
    assert (shown["status"], shown["current_stage"]) == ("failed", "validate")
    assert shown["error"] == {"code": "unsafe_archive", "message": "It is a bomb."}


def test_a_course_that_an_import_writes_into_is_not_removed(
    http: FlaskClient, customer: dict[str, str], database: Database
) -> None:
    course = making.course(database, ["One."])
    made = http.post(PATH, json=OCW | {"curriculum_id": course}, headers=customer).get_json()
    assert made["curriculum_id"] == course
    refused = http.delete(f"/api/curriculum/{course}", headers=customer)
    assert (refused.status_code, refused.get_json()["details"]["job_ids"]) == (409, [made["id"]])
    with database.transaction() as session:
        lifecycle.cancel(session, made["id"])
    assert http.delete(f"/api/curriculum/{course}", headers=customer).status_code == 200
