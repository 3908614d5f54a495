"""Models of wake words over HTTP: versions, thresholds and what follows, comparing, training again, whose they are."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select

from app.wake_points import operating_point
from models import accounts, wake_captures, wake_trainings
from models.audit import AuditEntry
from models.db import Database
from models.files import FileStore
from models.jobs.tables import Job
from models.wake_models import WakeModel
from models.wake_trainings import WakeTraining
from models.workers import Worker
from tests import making, trainer, waking
from tests.waking import sound
from workers.wakeword.options import Options

Make = Callable[..., WakeModel]


@pytest.fixture
def store(client: FlaskClient) -> FileStore:
    """Where files are kept."""
    found: FileStore = client.application.extensions["voiceworks"].files
    return found


@pytest.fixture
def account_id(database: Database, client: FlaskClient) -> str:
    """The ordinary client's account."""
    with database.transaction() as session:
        account = accounts.find(session, "client")
        assert account is not None
        return account.id


@pytest.fixture
def make(database: Database, store: FileStore, account_id: str) -> Make:
    """Stores a model of the ordinary client's."""
    return lambda word="jarvis", **fields: waking.model(database, store, word, **{"account_id": account_id} | fields)


@pytest.fixture
def trainers(database: Database) -> Iterator[None]:
    """Somebody who says that they train, and never does."""
    making.register(database, "train@here", wake_trainings.LANE)
    yield
    with database.transaction() as session:
        session.execute(delete(Worker).where(Worker.host == "here"))


def test_versions_are_listed_made_active_and_deleted(client: FlaskClient, customer: Any, make: Make) -> None:
    for _ in range(3):
        make()

    def active() -> str:
        shown = client.get("/api/models/jarvis", headers=customer).get_json()
        assert shown["id"] == "jarvis"
        return str(shown["name"])

    found = client.get("/api/models/jarvis/versions", headers=customer).get_json()
    assert [(each["id"], each["active"]) for each in found["versions"]] == [
        ("jarvis@3", True),
        ("jarvis@2", False),
        ("jarvis@1", False),
    ]
    assert (found["id"], found["total"], active()) == ("jarvis", 3, "jarvis@3")
    assert client.get("/api/models/jarvis@1/versions", headers=customer).get_json() == found
    answer = client.post("/api/models/jarvis@1/activate", headers=customer)
    assert (answer.status_code, answer.get_json()["active"], active()) == (200, True, "jarvis@1")
    assert client.delete("/api/models/jarvis@1", headers=customer).status_code == 200
    assert active() == "jarvis@3"
    assert client.get("/api/models/jarvis@1", headers=customer).status_code == 404
    assert client.delete("/api/models/jarvis", headers=customer).status_code == 200
    assert client.get("/api/models/jarvis/versions", headers=customer).status_code == 404


def test_deleting_a_word_deletes_what_was_captured_for_it(
    client: FlaskClient, customer: Any, make: Make, database: Database
) -> None:
    for word in ("jarvis", "other"):
        make(word)
        make(word)
        with database.transaction() as session:
            about = {"file": "f" * 64, "size_bytes": 1, "duration_seconds": 1.0, "account_id": None}
            wake_captures.add(session, slug=word, kind="miss", **about)

    def captured(word: str) -> int:
        with database.transaction() as session:
            return len(wake_captures.newest(session, word, "miss"))

    client.delete("/api/models/jarvis@2", headers=customer)
    assert captured("jarvis") == 1
    client.delete("/api/models/jarvis", headers=customer)
    assert (captured("jarvis"), captured("other")) == (0, 1)


def test_a_threshold_is_set_and_what_follows_is_told(client: FlaskClient, customer: Any, make: Make) -> None:
    make()
    for threshold, per_hour, missed in ((0.5, 1.0, 0.02), (0.6, 1.0, 0.04), (0.1, 8.0, 0.0), (0.95, 0.0, 1.0)):
        answer = client.patch("/api/models/jarvis", json={"threshold": threshold}, headers=customer)
        assert answer.status_code == 200
        point = answer.get_json()["operating_point"]
        assert (answer.get_json()["threshold"], point["threshold"]) == (threshold, threshold)
        assert (point["per_hour"], point["misses"]["clean"], point["hours"]) == (per_hour, missed, 2.0)
        assert point["bound_per_hour"] > per_hour
        assert client.get("/api/models/jarvis", headers=customer).get_json()["operating_point"] == point


@pytest.mark.parametrize("body", [{}, {"threshold": 1.01}, {"threshold": -0.1}, {"threshold": "0.5"}, {"x": 1}, []])
def test_a_threshold_that_is_none_is_refused(client: FlaskClient, customer: Any, make: Make, body: Any) -> None:
    make()
    answer = client.patch("/api/models/jarvis", json=body, headers=customer)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "validation_error")
    assert client.get("/api/models/jarvis", headers=customer).get_json()["threshold"] == 0.65


def test_a_model_without_a_curve_has_no_consequences() -> None:
    assert operating_point({}, 0.5) is None
    assert operating_point({"det": []}, 0.5) is None


def test_two_models_are_compared(client: FlaskClient, customer: Any, make: Make) -> None:
    make()
    make(threshold=0.9)
    found = client.get("/api/models/compare?a=jarvis@1&b=jarvis", headers=customer).get_json()
    assert (found["a"]["id"], found["b"]["id"], found["b"]["name"]) == ("jarvis@1", "jarvis", "jarvis@2")
    assert found["differences"]["threshold"] == 0.25
    assert found["differences"]["per_hour"] == -0.5
    assert found["differences"]["misses_clean"] == pytest.approx(0.16)
    assert found["differences"]["accuracy"] == 0.0
    for query, status in (("", 400), ("?a=jarvis", 400), ("?a=jarvis&b=nobody", 404), ("?a=&b=jarvis", 400)):
        assert client.get(f"/api/models/compare{query}", headers=customer).status_code == status


def test_the_zip_of_a_version_is_always_the_same_and_carries_the_threshold_as_it_is_set(
    client: FlaskClient, customer: Any, make: Make
) -> None:
    make("café olé")
    first = client.get("/api/models/café-olé/download", headers=customer)
    second = client.get("/api/models/café-olé@1/download", headers=customer)
    assert first.data == second.data
    assert first.headers["ETag"] == second.headers["ETag"]
    assert "caf%C3%A9%20ol%C3%A9.zip" in first.headers["Content-Disposition"]
    unchanged = client.get(
        "/api/models/café-olé/download", headers={**customer, "If-None-Match": first.headers["ETag"]}
    )
    assert unchanged.status_code == 304
    client.patch("/api/models/café-olé", json={"threshold": 0.9}, headers=customer)
    changed = client.get("/api/models/café-olé/download", headers=customer)
    with zipfile.ZipFile(io.BytesIO(changed.data)) as archive:
        about = json.loads(archive.read("café olé.json"))
        assert archive.read("café olé.detector.bin").startswith(b"detector of")
    assert (about["threshold"], about["operating_point"]["misses"]["clean"]) == (0.9, 0.2)


def test_a_detector_that_is_one_of_the_other_files_is_not_in_the_zip_twice(
    client: FlaskClient, customer: Any, make: Make, store: FileStore
) -> None:
    stored = {"file": store.put(b"the same"), "size_bytes": 8, "name": "x.onnx"}
    make(files={"detector": stored, "onnx": stored})
    answer = client.get("/api/models/jarvis/download", headers=customer)
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert sorted(archive.namelist()) == ["jarvis.json", "jarvis.onnx"]


def test_the_curve_and_the_report_are_sent(client: FlaskClient, customer: Any, make: Make, store: FileStore) -> None:
    made = make()
    answer = client.get("/api/models/jarvis/det.png", headers=customer)
    assert (answer.status_code, answer.mimetype) == (200, "image/png")
    assert answer.data.startswith(b"det_png of jarvis")
    assert client.get("/api/models/jarvis/det.png", headers={**customer, "Range": "bytes=0-2"}).data == b"det"
    report = client.get("/api/models/jarvis/report", headers=customer).get_json()
    assert (report["det"], len(report["history"])) == (made.report["det"], trainer.EPOCHS)
    make("bare", files={})
    assert client.get("/api/models/bare/det.png", headers=customer).status_code == 404
    store.remove([made.files["det_png"]["file"]])
    for path in ("det.png", "download"):
        assert client.get(f"/api/models/jarvis/{path}", headers=customer).status_code == 404


def test_every_client_sees_and_takes_every_model_but_changes_its_own_only(
    client: FlaskClient, customer: Any, admin: Any, make: Make, database: Database
) -> None:
    make("theirs", account_id="somebody else")
    make("nobodys", account_id=None)
    make("mine")
    for word in ("theirs", "nobodys"):
        assert client.get(f"/api/models/{word}", headers=customer).status_code == 200
        assert client.get(f"/api/models/{word}/download", headers=customer).status_code == 200
        for method, path, body in (
            ("PATCH", "", {"threshold": 0.5}),
            ("DELETE", "", None),
            ("POST", "/activate", None),
        ):
            answer = client.open(f"/api/models/{word}{path}", method=method, json=body, headers=customer)
            assert (answer.status_code, answer.get_json()["error"]) == (403, "forbidden")
    assert client.patch("/api/models/mine", json={"threshold": 0.5}, headers=customer).status_code == 200
    assert client.delete("/api/models/theirs", headers=admin).status_code == 200

    def kept() -> list[str]:
        with database.transaction() as session:
            return list(session.scalars(select(AuditEntry.path)))

    # What an administrator does to somebody else's is kept; what people do to their own is not.
    client.application.extensions["voiceworks"].counters.records.flush(database)
    assert kept() == ["/api/models/theirs"]


def test_a_word_is_deleted_only_by_whom_all_its_versions_belong_to(
    client: FlaskClient, customer: Any, make: Make
) -> None:
    make(account_id="somebody else")
    make()
    assert client.delete("/api/models/jarvis", headers=customer).status_code == 403
    assert client.delete("/api/models/jarvis@2", headers=customer).status_code == 200


@pytest.mark.parametrize(
    "name", ["nobody", "..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "jarvis%00", "jarvis@9", "jarvis@", "x" * 999]
)
def test_an_id_that_is_none_is_not_found(client: FlaskClient, admin: Any, make: Make, name: str) -> None:
    make()
    for method, path in (
        *(("GET", ""), ("DELETE", ""), ("GET", "/download"), ("GET", "/report"), ("GET", "/det.png")),
        *(("GET", "/versions"), ("POST", "/activate")),
    ):
        answer = client.open(f"/api/models/{name}{path}", method=method, headers=admin)
        assert answer.status_code in (404, 405), answer.text
    assert client.get("/api/models/jarvis", headers=admin).status_code == 200


# --- Training again -----------------------------------------------------------------------------------------------


def test_one_call_stores_captures_and_trains_with_all_there_is(
    client: FlaskClient, customer: Any, make: Make, trainers: None, database: Database, store: FileStore
) -> None:
    first = {"file": store.put(sound(seed=1)), "name": "first.wav", "size_bytes": 1, "duration_seconds": 1.0}
    config = vars(Options(num_epochs=7, use_tcn=True)) | {"seed": 3, "device": "cpu"}
    report = waking.model(database, store, "unused").report
    asked = report | {"training_config": config, "model_type_requested": "tcresnet"}
    make("hey jarvis", recordings=[first], report=asked, model_type="tcresnet")
    with database.transaction() as session:
        about = {"size_bytes": 1, "duration_seconds": 1.0, "account_id": None}
        earlier = wake_captures.add(
            session, slug="hey-jarvis", kind="false_alarm", file=store.put(b"earlier"), **about
        ).file
    sent = {
        "false_alarms": [(io.BytesIO(sound(seed=5)), "a.wav"), (io.BytesIO(sound(seed=6)), "b.wav")],
        "misses[]": [(io.BytesIO(sound(seed=7)), "c.wav")],
        "recordings": [(io.BytesIO(sound(seed=8)), "second.wav")],
        "dropout": "0.3",
    }
    answer = client.post("/api/models/hey-jarvis/retrain", data=sent, headers=customer)
    assert answer.status_code == 200, answer.text
    with database.transaction() as session:
        job = session.get_one(Job, answer.get_json()["job_id"])
        clips = session.get_one(WakeTraining, job.id).clips
        assert len(wake_captures.newest(session, "hey-jarvis", "false_alarm")) == 3
        assert len(wake_captures.newest(session, "hey-jarvis", "miss")) == 1
    assert [clip["name"] for clip in clips["recordings"]] == ["first.wav", "second.wav"]
    assert len(clips["false_alarms"]) == 3
    assert earlier in {clip["file"] for clip in clips["false_alarms"]}
    assert len(clips["misses"]) == 1
    assert (job.params["wake_word"], job.params["model_type"]) == ("hey jarvis", "tcresnet")
    options = job.params["options"]
    assert (options["num_epochs"], options["use_tcn"], options["dropout"]) == (7, True, 0.3)
    # The same again while it is unfinished is a conflict.
    again = client.post("/api/models/hey-jarvis/retrain", data={}, headers=customer, content_type="multipart/form-data")
    assert again.status_code == 409


def test_training_again_needs_nothing_but_the_model(
    client: FlaskClient, customer: Any, make: Make, trainers: None
) -> None:
    make(recordings=[{"file": "a" * 64, "name": "a.wav", "size_bytes": 1, "duration_seconds": 1.0}])
    send = {"data": {}, "headers": customer, "content_type": "multipart/form-data"}
    assert client.post("/api/models/jarvis/retrain", **send).status_code == 200
    assert client.post("/api/models/nobody/retrain", **send).status_code == 404


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"misses": [(io.BytesIO(b"text"), "x.wav")]}, "misses"),
        ({"recordings": [(io.BytesIO(b"text"), "x.wav")]}, "x.wav"),
        ({"dropout": "7"}, "dropout"),
        ({"model_type": "resnet"}, "model_type"),
    ],
    ids=lambda told: ",".join(told) if isinstance(told, dict) else told,
)
def test_what_cannot_be_used_for_training_again_is_refused(
    client: FlaskClient, customer: Any, make: Make, trainers: None, fields: dict[str, Any], named: str
) -> None:
    make()
    answer = client.post(
        "/api/models/jarvis/retrain", data=fields, headers=customer, content_type="multipart/form-data"
    )
    assert answer.status_code == 400
    assert named in answer.get_json()["message"]


def test_nobody_trains_again_where_nobody_trains(client: FlaskClient, customer: Any, make: Make) -> None:
    make()
    send = {"data": {}, "headers": customer, "content_type": "multipart/form-data"}
    answer = client.post("/api/models/jarvis/retrain", **send)
    assert answer.status_code == 503
    assert "make train" in answer.get_json()["message"]


# --- The cache ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["0", "65", "-1", "many", "1.5", ""])
def test_the_number_of_threads_is_bounded(client: FlaskClient, admin: Any, trainers: None, workers: str) -> None:
    answer = client.post(f"/api/cache/build?max_workers={workers}", headers=admin)
    assert answer.status_code == 400
    assert "max_workers" in answer.get_json()["message"]


def test_a_build_is_a_job_of_four_threads_unless_told_otherwise(
    client: FlaskClient, admin: Any, trainers: None, database: Database
) -> None:
    job_id = client.post("/api/cache/build", headers=admin).get_json()["job_id"]
    with database.transaction() as session:
        assert session.get_one(Job, job_id).params == {"max_workers": 4}
    assert client.get("/api/cache/info", headers=admin).get_json()["job_id"] == job_id
    assert client.get(f"/api/jobs/{job_id}", headers=admin).get_json()["kind"] == "wakeword.negatives"


def test_the_cache_is_neither_built_nor_emptied_while_it_is_built_or_read(
    client: FlaskClient, admin: Any, trainers: None, database: Database, store: FileStore
) -> None:
    def refused() -> list[int]:
        return [
            client.post("/api/cache/build", headers=admin).status_code,
            client.delete("/api/cache", headers=admin).status_code,
        ]

    reading = waking.train(database, store)
    assert refused() == [409, 409]
    making.end_well(database, reading)
    building = client.post("/api/cache/build", headers=admin).get_json()["job_id"]
    answer = client.delete("/api/cache", headers=admin)
    assert (answer.status_code, answer.get_json()["error"]) == (409, "conflict")
    assert building in answer.get_json()["message"]
    client.post(f"/api/jobs/{building}/cancel", headers=admin)
    assert client.delete("/api/cache", headers=admin).status_code == 200


def test_without_a_worker_nothing_is_built(client: FlaskClient, admin: Any) -> None:
    answer = client.post("/api/cache/build", headers=admin)
    assert answer.status_code == 503
    assert "make train" in answer.get_json()["message"]


def test_only_an_administrator_builds_empties_or_stops_building(
    client: FlaskClient, customer: Any, admin: Any, trainers: None
) -> None:
    assert client.post("/api/cache/build", headers=customer).status_code == 403
    assert client.delete("/api/cache", headers=customer).status_code == 403
    assert client.get("/api/cache/info", headers=customer).status_code == 200
