"""Flower: behind its password at every address, it shows our workers and queues by our names, and what they did."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import requests

from tests.conftest import eventually
from tests.journeys.product import HOST, SPEAKERS, Voiceworks

pytestmark = pytest.mark.slow


# Where training is installed, somebody trains.
TRAINERS = ("train",) if importlib.util.find_spec("torch") else ()
NODES = {f"{name}@{HOST}" for name in (*SPEAKERS, "io", "imports", *TRAINERS, "upkeep")}
QUEUES = {"tts.live.neural", "tts.live.neural.head", "tts.background.neural", "io", "listen", "imports", "upkeep"}
# Pages, its API, and what its own option for a password leaves open.
ADDRESSES = (
    *("/", "/workers", "/tasks", "/broker", "/api/workers", "/api/tasks", "/metrics", "/healthcheck"),
    *("/static/css/flower.css", "/logout", "/login", "/nothing"),
)


def ask(product: Voiceworks, path: str, *, password: str | None = "", user: str = "admin") -> requests.Response:
    """What Flower answers; with its password unless another is given, or (None) without any."""
    right = (product.var_dir / "flower.password").read_text()
    auth = None if password is None else (user, password or right)
    url = f"http://127.0.0.1:{product.settings.flower_port}{path}"
    return requests.get(url, auth=auth, timeout=30, allow_redirects=False)


@pytest.fixture
def flower(product: Voiceworks) -> Voiceworks:
    """The product, its Flower up."""

    def answers() -> bool:
        try:
            return ask(product, "/healthcheck").ok
        except (OSError, requests.RequestException):
            return False

    eventually(answers, within_seconds=30)
    return product


@pytest.mark.parametrize("path", ADDRESSES)
def test_no_address_is_open_without_the_password(flower: Voiceworks, path: str) -> None:
    for answer in (
        ask(flower, path, password=None),
        ask(flower, path, password="wrong"),
        ask(flower, path, user="somebody"),
        ask(flower, path, password="wröng"),
    ):
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert HOST not in answer.text


@pytest.mark.parametrize("said", ["Basic", "Basic !", "Basic w6Q=", "Bearer abc", "Basic YWRtaW4=", "basic  "])
def test_a_header_that_makes_no_sense_is_no_password(flower: Voiceworks, said: str) -> None:
    url = f"http://127.0.0.1:{flower.settings.flower_port}/workers"
    assert requests.get(url, headers={"Authorization": said}, timeout=30).status_code == 401


def test_the_page_at_the_root_leads_there(flower: Voiceworks) -> None:
    led = requests.get(flower.url("/flower"), timeout=30, allow_redirects=False)
    assert led.headers["Location"] == f"http://127.0.0.1:{flower.settings.flower_port}/"


def test_it_shows_our_workers_and_queues_by_our_names(flower: Voiceworks) -> None:
    def workers() -> dict[str, Any]:
        found: dict[str, Any] = ask(flower, "/api/workers?refresh=1").json()
        return found

    eventually(lambda: set(workers()) >= NODES, within_seconds=60)
    consumed = {node: {queue["name"] for queue in told["active_queues"]} for node, told in workers().items()}
    assert consumed[f"live-neural@{HOST}"] == {"tts.live.neural", "tts.live.neural.head"}
    assert set().union(*consumed.values()) >= QUEUES
    page = ask(flower, "/workers").text
    assert all(node in page for node in NODES)
    queues = ask(flower, "/broker").text
    assert all(queue in queues for queue in QUEUES)


def test_it_shows_a_task_that_was_done(flower: Voiceworks) -> None:
    answer = flower.speak("A sentence that Flower is to know of, and nobody has asked for before.")
    assert answer.ok

    def done() -> list[dict[str, Any]]:
        tasks = ask(flower, "/api/tasks", password="").json().values()
        return [task for task in tasks if task["name"] == "speech.speak" and task["state"] == "SUCCESS"]

    task = eventually(done, within_seconds=30)[-1]
    assert task["worker"] in NODES
    # A job's id and nothing else: what is spoken is nobody's business here.
    assert "Flower is to know" not in str(task)
    page = ask(flower, f"/task/{task['uuid']}")
    assert page.ok
    assert "speech.speak" in page.text
