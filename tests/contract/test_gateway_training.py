"""Fine-tuning as gateway.md has it, closed and open: prompts, sessions, their status, and their progress live."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from config.settings import Settings
from models.db import Database
from models.files import FileStore
from models.jobs import work
from models.jobs.tables import Job
from models.llm import sessions, workers
from tasks import submit
from tests import llm_trainer, making, tuning
from tests.app.test_docs import CHROMIUM, QUIET, in_a_browser
from tests.conftest import API_KEY, CLIENT_KEY
from tests.contract.conftest import GATEWAY_URL, Reach, gateway_refused
from tests.contract.document import Document, Request, assert_shaped
from tests.contract.gateway_headings import GATEWAY, documented
from tests.web import Web

CREATE = GATEWAY["Create Training Session"].request
START = GATEWAY["Start Training"].request
STATUS = GATEWAY["Get Training Status"]
CANCEL = GATEWAY["Cancel Training"].request
PROMPT = GATEWAY["Create Prompt"].request
LIVE = "Training Progress (Real-time)"
# What the document's comment shows of a message.
SHOWN_LIVE = {"status", "progress", "loss"}
HEADERS = ["X-API-Key: " + API_KEY]


@pytest.fixture
def gateway(
    request: pytest.FixtureRequest, application: Callable[..., FlaskClient], tmp_path: Path, database: Database
) -> Iterator[Reach]:
    """A client as any of the gateway's, where a base model is at hand and a worker says that it trains."""
    closed = request.param == "closed"
    opened = frozenset() if closed else frozenset({"gateway"})
    http = application(llm_models=tuning.base(tmp_path), open_surfaces=opened)
    tuning.register(database)
    yield Reach(http, {"X-API-Key": API_KEY} if closed else {}, GATEWAY_URL, gateway_refused)
    tuning.forget(database)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test of a client runs closed and open."""
    if "gateway" in metafunc.fixturenames:
        metafunc.parametrize("gateway", ["closed", "open"], indirect=True)


def prompts(gateway: Reach, count: int = 5) -> list[int]:
    """The numbers of new prompts."""
    found = []
    for number in range(count):
        answer = gateway(PROMPT, body=PROMPT.body(name=f"Movie Request Example {number}"))
        assert answer.status_code == 201, answer.text
        found.append(answer.get_json()["id"])
    return found


def made(gateway: Reach, **own: Any) -> dict[str, Any]:
    """A session of the documented body."""
    answer = gateway(CREATE, body=CREATE.body(**own))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def begun(gateway: Reach, database: Database) -> str:
    """The id of a session that was started by the documented body."""
    session_id: str = made(gateway, base_model=tuning.BASE)["id"]
    worker = tuning.register(database)
    answer = gateway(START, body=START.body(worker_id=worker, prompt_ids=prompts(gateway)), session_id=session_id)
    assert answer.status_code == 200, answer.text
    assert_shaped(answer.get_json() | {"loss": 0.125, "gpu_utilization": 85.0}, STATUS.answer)
    return session_id


def at_work(database: Database, session_id: str) -> Job:
    """The session's job, as a worker has it that is half through."""
    with database.transaction() as session:
        job = work.claim_job(session, session_id, node="tune@here", lease_seconds=60)
        assert job is not None
        work.report(session, job, progress=0.455, phase="Training")
        sessions.note(session, job, None, [llm_trainer.step(number) for number in range(1, 6)])
    return job


@documented("Create Prompt", "List Prompts")
def test_a_prompt_is_created_and_listed(gateway: Reach) -> None:
    answer = gateway(PROMPT, body=PROMPT.fields)
    assert answer.status_code == 201, answer.text
    stored = answer.get_json()
    assert stored == stored | PROMPT.fields
    assert isinstance(stored["id"], int)
    listed = gateway(GATEWAY["List Prompts"].request)
    assert listed.status_code == 200
    assert listed.get_json() == [stored]
    gateway_refused(gateway(PROMPT, body=PROMPT.fields), 409, "CONFLICT")
    gateway_refused(gateway(PROMPT, body={}), 422, "VALIDATION_ERROR")


@documented("Create Training Session", "List Training Sessions")
def test_a_session_is_created_whether_or_not_its_base_model_is_here(gateway: Reach) -> None:
    stored = made(gateway)
    shown = CREATE.fields
    assert {name: stored[name] for name in shown if name != "config"} == {
        name: value for name, value in shown.items() if name != "config"
    }
    assert stored["config"] == stored["config"] | shown["config"]
    assert isinstance(stored["id"], str)
    assert stored["status"] == "pending"
    listed = gateway(GATEWAY["List Training Sessions"].request)
    assert listed.status_code == 200
    assert [each["id"] for each in listed.get_json()] == [stored["id"]]
    body = START.body(worker_id=None, prompt_ids=prompts(gateway))
    refused = gateway(START, body=body, session_id=stored["id"])
    gateway_refused(refused, 409, "BASE_MODEL_UNAVAILABLE")
    assert CREATE.fields["base_model"] in refused.get_json()["detail"]
    assert tuning.BASE in refused.get_json()["detail"]
    assert gateway(STATUS.request, session_id=stored["id"]).get_json()["status"] == "pending"


@documented("Start Training", "Get Training Status")
def test_a_session_is_started_and_its_status_is_the_documented_one(gateway: Reach, database: Database) -> None:
    session_id = begun(gateway, database)
    waiting = gateway(STATUS.request, session_id=session_id)
    assert waiting.status_code == 200
    told = waiting.get_json()
    assert (told["status"], told["progress"], told["loss"]) == ("queued", 0.0, None)
    # Before training there is no epoch; how many there are to be was chosen.
    assert (told["current_epoch"], told["total_epochs"]) == (0, CREATE.fields["config"]["num_epochs"])
    at_work(database, session_id)
    told = gateway(STATUS.request, session_id=session_id).get_json()
    assert_shaped(told | {"gpu_utilization": 85.0}, STATUS.answer)
    assert (told["session_id"], told["status"], told["progress"]) == (session_id, "training", 45.5)
    assert (told["current_epoch"], told["total_epochs"], told["loss"]) == (2, 2, 0.4)
    assert told["gpu_utilization"] is None
    whole = gateway(Request("GET", f"/api/training/sessions/{session_id}")).get_json()
    assert [point["loss"] for point in whole["loss_history"]][-1] == told["loss"]
    gateway_refused(gateway(STATUS.request, session_id="nothing"), 404, "SESSION_NOT_FOUND")


@documented("Cancel Training")
def test_a_session_is_cancelled_once(gateway: Reach, database: Database) -> None:
    for session_id in (made(gateway)["id"], begun(gateway, database)):
        answer = gateway(CANCEL, session_id=session_id)
        assert answer.status_code == 200, answer.text
        assert answer.get_json()["status"] == "cancelled"
        gateway_refused(gateway(CANCEL, session_id=session_id), 409, "CONFLICT")
    gateway_refused(gateway(CANCEL, session_id="nothing"), 404, "SESSION_NOT_FOUND")


def test_what_decisions_say_of_a_start_is_so(gateway: Reach, database: Database) -> None:
    (promised,) = [line for line in Document("decisions")["Training"].bullets if "WORKER_NOT_FOUND" in line]
    unknown, offline = re.findall(r"worker (\d{3}) `(\w+)`|offline (\d{3}) `(\w+)`", promised)
    (known,) = prompts(gateway, 1)
    session_id = made(gateway, base_model=tuning.BASE)["id"]
    worker = tuning.register(database)

    def start(**own: Any) -> Any:
        return gateway(START, body=START.body(**({"worker_id": worker, "prompt_ids": [known]} | own)), **where)

    where = {"session_id": session_id}
    gateway_refused(start(worker_id=worker + 100), int(unknown[0]), unknown[1])
    with database.transaction() as session:
        gone = workers.number(session, "tune@gone")
    gateway_refused(start(worker_id=gone), int(offline[2]), offline[3])
    assert "unknown prompt ids 422 naming them" in promised
    missing = start(prompt_ids=[known, known + 1000, known + 1001])
    gateway_refused(missing, 422, "VALIDATION_ERROR")
    assert f"{known + 1000}, {known + 1001}" in missing.get_json()["detail"]
    assert start().status_code == 200
    gateway_refused(start(), 409, "SESSION_NOT_PENDING")
    cancelled = made(gateway, base_model=tuning.BASE)["id"]
    assert gateway(CANCEL, session_id=cancelled).status_code == 200
    where = {"session_id": cancelled}
    gateway_refused(start(), 409, "SESSION_NOT_PENDING")


def test_workers_and_base_models_are_listed(gateway: Reach) -> None:
    answer = gateway(Request("GET", "/api/training/workers"))
    assert answer.status_code == 200
    (listed,) = answer.get_json()
    assert (listed["name"], listed["host"], listed["status"]) == ("tune@here", "here", "idle")
    assert isinstance(listed["id"], int)
    found = {base["id"]: base for base in gateway(Request("GET", "/api/training/base-models")).get_json()}
    assert found[tuning.BASE] == found[tuning.BASE] | {"parameters": 4, "licence": "apache-2.0"}
    assert "`smollm2-135m-instruct`" in Document("decisions")["Training"].bullets[0]


# --- Live -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def telling(configured: Settings, clean: None, queue: redis.Redis) -> Iterator[Database]:
    """A database whose commits are heard by the web process, as a worker's are."""
    telling = submit.open_database(configured, queue, pool_size=1)
    yield telling
    telling.dispose()


@pytest.fixture
def watched(telling: Database, configured: Settings) -> Job:
    """A session's job that somebody is at."""
    job = tuning.queued(telling, FileStore(configured.var_dir / "files"))
    return at_work(telling, job.id)


@documented(LIVE)
def test_progress_is_told_at_once_and_on_every_change_until_the_end(web: Web, watched: Job, telling: Database) -> None:
    path = f"/ws/training/{watched.id}"
    with web.socket(path, header=HEADERS) as socket:
        first = socket.next()
        assert_shaped(first | {"gpu_utilization": 85.0}, STATUS.answer)
        assert (first["session_id"], first["status"], first["progress"]) == (watched.id, "training", 45.5)
        began = time.monotonic()
        with telling.transaction() as session:
            work.report(session, watched, progress=0.5, phase="Training")
        assert socket.next()["progress"] == 50.0
        assert time.monotonic() - began < 2.5
        making.finish(telling, watched)
        last = socket.next()
        assert (last["status"], last["progress"]) == ("completed", 100.0)
        assert socket.closed() == 1000
    assert web.close_code("/ws/training/nothing", header=HEADERS) == 4404
    assert web.close_code(path) == 4401
    assert web.close_code(path, header=["X-API-Key: " + CLIENT_KEY]) == 4403


@in_a_browser
def test_the_documented_javascript_gets_its_first_message_within_a_second(web: Web, watched: Job) -> None:
    from playwright.sync_api import sync_playwright

    (code,) = GATEWAY[LIVE].code
    address = f"'{GATEWAY_URL.replace('http', 'ws')}/ws/training/SESSION_ID'"
    assert address in code
    # The server of the test has another port, and is closed.
    path = web.url(f"/ws/training/{watched.id}").replace("http", "ws")
    code = code.replace(address, f"'{path}?token={API_KEY}'")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=list(QUIET))
        # Whose page it is does not matter: ours allow no scripts but their own.
        page = browser.new_page(bypass_csp=True)
        page.goto(web.url("/health"))
        with page.expect_console_message(lambda said: bool(said.args), timeout=1000) as heard:
            page.evaluate(f"() => {{ {code} }}")
        message: dict[str, Any] = heard.value.args[0].json_value()
        browser.close()
    assert set(message) >= SHOWN_LIVE
    assert (message["status"], message["progress"], message["loss"]) == ("training", 45.5, 0.4)
