"""The gateway's sockets, and the document's own JavaScript against them in a browser."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from models.log_stream import LogStream
from tests.app.test_docs import CHROMIUM, QUIET, in_a_browser
from tests.conftest import API_KEY, CLIENT_KEY, eventually
from tests.contract.conftest import GATEWAY_URL
from tests.contract.gateway_headings import GATEWAY, documented
from tests.web import Web

HEADERS = ["X-API-Key: " + API_KEY]
SOCKETS = {"System Metrics (Real-time)": "/ws/system", "Logs (Real-time)": "/ws/logs"}
# What the document's comments show of a message.
SHOWN = {
    "System Metrics (Real-time)": {"cpu_percent", "memory_percent"},
    "Logs (Real-time)": {"timestamp", "level", "message"},
}


@documented("System Metrics (Real-time)")
def test_the_system_is_told_at_once_and_every_two_seconds(web: Web, clean: None) -> None:
    with web.socket("/ws/system", header=HEADERS) as socket:
        began = time.monotonic()
        first, second = socket.next(), socket.next()
        assert 1.5 < time.monotonic() - began < 4
    assert SHOWN["System Metrics (Real-time)"] <= set(first)
    assert set(first) == set(second)
    assert 0 <= first["cpu_percent"] <= 100


@documented("Logs (Real-time)")
def test_log_lines_come_as_they_are_written(web: Web, clean: None, stream: logging.Logger) -> None:
    stream.warning("a line from before")
    time.sleep(0.5)
    with web.socket("/ws/logs", header=HEADERS) as socket:
        shown = [socket.next()]
        while shown[-1]["message"] != "a line from before":
            shown.append(socket.next())
        assert SHOWN["Logs (Real-time)"] <= set(shown[-1])
        stream.warning("a line of now, with password=hunter2")
        while not shown[-1]["message"].startswith("a line of now"):
            shown.append(socket.next())
        assert "hunter2" not in shown[-1]["message"]
        assert shown[-1]["level"] == "WARNING"


@pytest.mark.parametrize("path", SOCKETS.values())
def test_a_socket_is_closed_to_those_who_may_not(web: Web, clean: None, path: str) -> None:
    assert web.close_code(path) == 4401
    may = path == "/ws/system"
    with web.socket(path, header=["X-API-Key: " + CLIENT_KEY]) as socket:
        if may:
            assert socket.next()
        else:
            assert socket.closed() == 4403


def test_what_a_client_says_is_not_answered(web: Web, clean: None) -> None:
    with web.socket("/ws/system", header=HEADERS) as socket:
        socket.next()
        socket.send({"type": "ping"})
        assert "cpu_percent" in socket.next()


@in_a_browser
@pytest.mark.parametrize("title", SOCKETS)
def test_the_documented_javascript_gets_its_first_message_within_a_second(
    web: Web, clean: None, stream: logging.Logger, title: str
) -> None:
    from playwright.sync_api import sync_playwright

    (code,) = GATEWAY[title].code
    path = SOCKETS[title]
    address = f"'{GATEWAY_URL.replace('http', 'ws')}{path}'"
    assert address in code
    # The server of the test has another port, and is closed.
    code = code.replace(address, f"'{web.url(path).replace('http', 'ws')}?token={API_KEY}'")
    stream.warning("somebody looks")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=list(QUIET))
        # Whose page it is does not matter: ours allow no scripts but their own.
        page = browser.new_page(bypass_csp=True)
        page.goto(web.url("/health"))
        with page.expect_console_message(lambda said: bool(said.args), timeout=1000) as heard:
            page.evaluate(f"() => {{ {code} }}")
        message: dict[str, Any] = heard.value.args[0].json_value()
        browser.close()
    assert SHOWN[title] <= set(message), json.dumps(message)


@pytest.fixture
def stream(web: Web) -> Iterator[logging.Logger]:
    """What some process logs, for those who watch."""
    from config import settings

    handler = LogStream(settings.load().redis_url)
    logger = logging.getLogger("tests.somebody")
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)
    eventually(lambda: not handler._lines)
