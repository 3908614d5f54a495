"""wakewords.md, line by line: trainings, models, the cache; with a credential, and where none is asked for."""

from __future__ import annotations

import importlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select

from config.settings import Settings
from models import wake_trainings
from models.db import Database
from models.files import FileStore
from models.jobs.tables import Job
from models.workers import Worker
from tests import making, trainer, waking
from tests.conftest import API_KEY, CLIENT_KEY, eventually
from tests.contract.conftest import routes, template
from tests.contract.document import Document, assert_shaped, quoted
from tests.contract.wakeword_headings import (
    WAKEWORDS,
    WAKEWORDS_URL,
    Client,
    assert_refused,
    documented,
    titles,
)
from tests.waking import form
from workers.wakeword.options import Options

DECISIONS = Document("decisions")


@pytest.fixture(params=["closed", "open"])
def reach(request: pytest.FixtureRequest, application: Callable[..., FlaskClient]) -> Client:
    """A client of this document, with a key and, where the surface is open, without."""
    if request.param == "open":
        return Client(application(open_surfaces=frozenset({"wakewords"})), {})
    return Client(application(), {"X-API-Key": CLIENT_KEY})


@pytest.fixture
def administer(reach: Client) -> Client:
    """The same, of an administrator where it matters who asks."""
    return Client(reach.http, {"X-API-Key": API_KEY} if reach.credential else {})


@pytest.fixture(scope="module")
def training(configured: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Somebody who trains within a second."""
    with waking.training_worker(configured, tmp_path_factory.mktemp("training")):
        yield


@pytest.fixture
def present(database: Database) -> Iterator[None]:
    """Somebody who says that they train, and never does."""
    making.register(database, "train@here", wake_trainings.LANE)
    yield
    with database.transaction() as session:
        session.execute(delete(Worker).where(Worker.host == "here"))


@pytest.fixture
def store(reach: Client) -> FileStore:
    """Where files are kept."""
    found: FileStore = reach.http.application.extensions["voiceworks"].files
    return found


def trained(reach: Client, word: str = "jarvis", **fields: Any) -> str:
    """The id of a training, once it is completed."""
    answer = reach(WAKEWORDS["Start Training"].request, form=form(word, **fields))
    assert answer.status_code == 200, answer.text
    job_id: str = answer.get_json()["job_id"]
    status = WAKEWORDS["Get Training Status"].request

    def ended() -> bool:
        found = reach.send(status, reach.credential, job_id=job_id).get_json()
        assert found["status"] in ("pending", "training", "completed"), found
        return bool(found["status"] == "completed")

    eventually(ended, within_seconds=30)
    return job_id


def test_every_heading_has_a_test() -> None:
    for path in sorted(Path(__file__).parent.glob("test_wakewords_*.py")):
        importlib.import_module(f"tests.contract.{path.stem}")
    titles.assert_all_answered()


@documented("Base URL")
def test_every_documented_path_is_there_and_its_port_is_the_documented_one(reach: Client) -> None:
    assert WAKEWORDS["Base URL"].code == [WAKEWORDS_URL]
    there = routes(reach.http)
    promised = [request for heading in WAKEWORDS.headings.values() for request in heading.requests]
    assert {template(each.method, each.target) for each in promised} <= there


@documented("Authentication", "Rate Limits")
def test_where_the_surface_is_open_no_credential_is_needed_and_nothing_is_counted(
    application: Callable[..., FlaskClient],
) -> None:
    http = application(open_surfaces=frozenset({"wakewords"}), rate_limits=True)
    for _ in range(3):
        answer = http.get("/api/models", base_url=WAKEWORDS_URL)
        assert answer.status_code == 200
        assert not [name for name, _ in answer.headers if name.startswith("RateLimit")]
    assert_refused(application().get("/api/models", base_url=WAKEWORDS_URL), 401, "unauthorized")


@documented("Health Check")
def test_health_needs_no_credential(reach: Client) -> None:
    shown = WAKEWORDS["Health Check"]
    answer = reach.send(shown.request, {})
    assert answer.status_code == 200
    assert_shaped(answer.get_json(), shown.answer)
    assert answer.get_json()["status"] == shown.answer["status"]


@documented("API Info")
def test_the_info_says_what_it_runs_on(reach: Client) -> None:
    shown = WAKEWORDS["API Info"].answer
    answer = reach(WAKEWORDS["API Info"].request)
    assert answer.status_code == 200
    found = answer.get_json()
    # Where nothing is trained, as decisions.md says.
    system = shown["system"] | {"torch_version": found["system"]["torch_version"]}
    assert_shaped(found, shown | {"system": system})
    assert found["docs_url"] == shown["docs_url"]
    assert (found["system"]["cuda_available"], found["system"]["device"]) == (False, "cpu")


@documented("Start Training")
def test_a_training_is_started_with_every_documented_field(reach: Client, training: None, database: Database) -> None:
    shown = WAKEWORDS["Start Training"]
    told = {
        "string": "ast",
        "int": "20",
        "float": "0.2",
        "bool": "false",
    }
    fields = {row["Field"]: told[row["Type"]] for row in shown.rows if row["Type"] in told}
    assert set(fields) == {*vars(Options()), "wake_word", "model_type"}
    answer = reach(shown.request, form=form(**fields | {"wake_word": "jarvis", "learning_rate": "0.001"}))
    assert answer.status_code == 200, answer.text
    assert_shaped(answer.get_json(), shown.answer)
    found = {name: answer.get_json()[name] for name in ("status", "message")}
    assert found == {name: shown.answer[name] for name in found}
    with database.transaction() as session:
        asked = session.get_one(Job, answer.get_json()["job_id"]).params
    assert {name: asked["options"][name] for name in ("num_epochs", "dropout", "use_tcn")} == {
        "num_epochs": 20,
        "dropout": 0.2,
        "use_tcn": False,
    }


@documented("Start Training")
def test_what_is_left_out_has_the_documented_default(reach: Client, training: None, database: Database) -> None:
    trained(reach)
    with database.transaction() as session:
        asked = session.scalars(select(Job).where(Job.kind == wake_trainings.KIND)).one().params
    told = {
        row["Field"]: row["Description"].partition("default: ")[2].rstrip(")").strip('"')
        for row in WAKEWORDS["Start Training"].rows
        if "default: " in row["Description"]
    }
    assert told.pop("model_type") == asked["model_type"]
    assert {name: float(value) for name, value in told.items()} == {name: asked["options"][name] for name in told}


@documented("Get Training Status", "Download Model", "Delete Job", "List Jobs")
def test_a_training_is_followed_to_its_model_and_deleted(reach: Client, training: None) -> None:
    job_id = trained(reach, "hey jarvis")
    shown = WAKEWORDS["Get Training Status"]
    found = reach(shown.request, job_id=job_id).get_json()
    assert_shaped(found, shown.answer)
    assert (found["job_id"], found["status"], found["progress"]) == (job_id, "completed", 100.0)
    assert (found["current_epoch"], found["total_epochs"]) == (trainer.EPOCHS, trainer.EPOCHS)
    assert len(found["history"]) == trainer.EPOCHS
    assert found["model_id"] == "hey-jarvis@1"
    assert (found["model_type_requested"], found["model_type_used"]) == ("ast", "embedding")
    listed = reach(WAKEWORDS["List Jobs"].request).get_json()
    assert_shaped(listed, WAKEWORDS["List Jobs"].answer)
    assert [(each["job_id"], each["wake_word"], each["status"]) for each in listed["jobs"]] == [
        (job_id, "hey jarvis", "completed")
    ]
    assert listed["jobs"][0]["created_at"].endswith("Z")
    download = WAKEWORDS["Download Model"]
    answer = reach(download.request, job_id=job_id)
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    promised = {quoted(each)[0].format(wake_word="hey jarvis") for each in download.bullets}
    assert promised <= set(names_in(answer.data))
    assert reach(WAKEWORDS["Delete Job"].request, job_id=job_id).get_json() == WAKEWORDS["Delete Job"].answer
    assert_refused(reach.send(shown.request, reach.credential, job_id=job_id), 404, "not_found")
    assert reach(WAKEWORDS["Get Model Details"].request, model_id="hey-jarvis").status_code == 200


def names_in(content: bytes) -> dict[str, bytes]:
    """The files of a zip."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


@documented("List Models", "Get Model Details", "Download Model (15)", "Delete Model")
def test_a_model_is_listed_shown_taken_along_and_deleted(
    administer: Client, store: FileStore, database: Database
) -> None:
    reach = administer
    made = waking.model(database, store)
    listed = reach(WAKEWORDS["List Models"].request).get_json()
    assert_shaped(listed, WAKEWORDS["List Models"].answer)
    (entry,) = listed["models"]
    assert (entry["id"], entry["type"], listed["total"]) == ("jarvis", "custom", 1)
    figures = {name: made.report["metrics"][name] for name in ("accuracy", "f1_score")}
    assert {name: entry[name] for name in figures} == figures
    got = reach(WAKEWORDS["Get Model Details"].request, model_id="jarvis").get_json()
    assert_shaped(got, WAKEWORDS["Get Model Details"].answer)
    assert (got["id"], got["has_onnx"], got["trainable_params"]) == ("jarvis", True, 1234)
    assert got["metrics"] == made.report["metrics"]
    assert set(WAKEWORDS["Get Model Details"].answer["training_config"]) <= set(got["training_config"])
    answer = reach(WAKEWORDS["Download Model (15)"].request, model_id="jarvis")
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    deleted = reach(WAKEWORDS["Delete Model"].request, model_id="jarvis")
    assert deleted.get_json() == WAKEWORDS["Delete Model"].answer
    assert_refused(
        reach.send(WAKEWORDS["Get Model Details"].request, reach.credential, model_id="jarvis"), 404, "not_found"
    )
    assert reach(WAKEWORDS["List Models"].request).get_json() == {"models": [], "total": 0}


@documented("List Models")
def test_models_are_filtered_by_every_documented_type(reach: Client, store: FileStore, database: Database) -> None:
    waking.model(database, store)
    waking.model(database, store, "other", type_name="default")
    (parameter,) = WAKEWORDS["List Models"].rows
    found = {}
    for word in [each.strip('" ') for each in parameter["Description"].partition(":")[2].split(",")]:
        answer = reach(WAKEWORDS["List Models"].request, query=f"?type={word}")
        found[word] = sorted(each["id"] for each in answer.get_json()["models"])
    assert found == {"custom": ["jarvis"], "default": ["other"], "all": ["jarvis", "other"]}
    assert_refused(reach(WAKEWORDS["List Models"].request, query="?type=x"), 400, "validation_error")


def test_the_zip_is_as_decided(reach: Client, store: FileStore, database: Database) -> None:
    sentence = DECISIONS.sentence("The zip:")
    waking.model(database, store, "hey jarvis")
    answer = reach(WAKEWORDS["Download Model (15)"].request, model_id="hey-jarvis")
    files = names_in(answer.data)
    promised = [each.format(wake_word="hey jarvis") for each in quoted(sentence) if each.startswith("{wake_word}")]
    assert len(promised) == 4
    assert set(promised) <= set(files)
    assert {"hey jarvis.det.png", "hey jarvis.curves.json"} <= set(files)
    assert files["hey jarvis.pt"].startswith(b"weights of hey jarvis")
    about = json.loads(files["hey jarvis.json"])
    assert (about["wake_word"], about["threshold"], about["id"]) == ("hey jarvis", 0.65, "hey-jarvis@1")
    for point in about["operating_points"]:
        assert {"events", "hours", "bound_per_hour"} <= set(point)
    assert about["shapes"]["hey jarvis.openwakeword.onnx"]["input"] == [1, 16, 96]
    assert "versions" in about


# --- The cache ----------------------------------------------------------------------------------------------------


@documented("Get Cache Info")
def test_the_info_of_an_empty_cache_says_so(reach: Client) -> None:
    shown = WAKEWORDS["Get Cache Info"].answer
    found = reach(WAKEWORDS["Get Cache Info"].request).get_json()
    assert_shaped(found, shown | {"last_built": found["last_built"]})
    assert (found["available"], found["chunk_count"], found["size_mb"], found["last_built"]) == (False, 0, 0, None)


@documented("Get Cache Info", "Build Cache", "Clear Cache")
def test_the_cache_is_built_told_of_and_cleared(
    administer: Client, present: None, configured: Settings, database: Database
) -> None:
    build, info = WAKEWORDS["Build Cache"], WAKEWORDS["Get Cache Info"]
    (parameter,) = build.rows
    answer = administer(build.request, query=f"?{parameter['Parameter' if 'Parameter' in parameter else 'Param']}=2")
    assert answer.status_code == 200, answer.text
    assert_shaped(answer.get_json(), build.answer)
    assert answer.get_json()["message"] == build.answer["message"]
    job_id = answer.get_json()["job_id"]
    assert administer(info.request).get_json()["job_id"] in (job_id, None)
    with database.transaction() as session:
        job = session.get_one(Job, job_id)
        assert (job.kind, job.params) == (wake_trainings.NEGATIVES, {"max_workers": 2})
    administer.http.post(f"/api/jobs/{job_id}/cancel", headers={"X-API-Key": API_KEY})
    folder = wake_trainings.folders(configured.var_dir).negatives / "mine"
    folder.mkdir(parents=True)
    about = {
        "name": "mine",
        "family": "folder-mine",
        "speaker": "anna",
        "language": "",
        "licence": "CC0-1.0",
        "credit": "",
        "split": "train",
        "chunks": 3,
        "seconds": 30.0,
        "size_bytes": 2_500_000,
        "unreadable": 0,
        "files_are": "x",
    }
    (folder / "source.json").write_text(json.dumps(about))
    found = administer(info.request).get_json()
    assert_shaped(found, info.answer)
    assert (found["available"], found["chunk_count"], found["size_mb"]) == (True, 3, 3)
    assert found["sources"][0]["licence"] == "CC0-1.0"
    assert datetime.fromisoformat(found["last_built"]).tzinfo is not None
    cleared = administer(WAKEWORDS["Clear Cache"].request)
    assert (cleared.status_code, cleared.get_json()) == (200, WAKEWORDS["Clear Cache"].answer)
    assert administer(info.request).get_json()["available"] is False


# --- Errors -------------------------------------------------------------------------------------------------------


@documented("Error Responses", "Common Error Codes")
def test_each_error_has_the_documented_shape_status_and_type(
    administer: Client, present: None, store: FileStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach = administer
    table = {row["Error Type"]: int(row["Status"]) for row in WAKEWORDS["Common Error Codes"].rows}
    assert len(table) == 4
    waking.train(database, store)
    start = WAKEWORDS["Start Training"].request
    found = {
        "validation_error": reach(start, form=form("j4rvis")),
        "not_found": reach(WAKEWORDS["Get Model Details"].request, model_id="nobody"),
        "conflict": reach(start, form=form()),
    }
    # Nothing of the cause is told.
    monkeypatch.setattr("models.wake_models.listed", lambda *_, **__: 1 / 0)
    reach.http.application.config["PROPAGATE_EXCEPTIONS"] = False
    found["internal_error"] = reach(WAKEWORDS["List Models"].request)
    assert set(found) == set(table)
    for error, answer in found.items():
        assert_refused(answer, table[error], error)
    assert "division" not in found["internal_error"].text


def test_the_state_words_are_those_decided() -> None:
    (table,) = [heading.rows for heading in DECISIONS.headings.values() if heading.rows and "stored" in heading.rows[0]]
    words = {row["stored"]: row["wakewords"] for row in table if row["wakewords"] != "-"}
    told = {
        stored: word
        for both, shown in words.items()
        for stored, word in zip(both.split(" / "), shown.split(" / "), strict=True)
    }
    assert told == wake_trainings.STATUS
