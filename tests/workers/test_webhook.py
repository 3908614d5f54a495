"""One message to a real server of this machine, and to addresses that must not be reached."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from config.versions import VERSION
from tests.receiving import Receiver, Reply, receiving
from workers.clients import webhook
from workers.clients.webhook import Answer

KEY = "a key of thirty characters or so"
PAYLOAD = {"event": "job.finished", "job": {"id": "1", "phase": "für alle ✓"}}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody's server."""
    with receiving() as running:
        yield running


def send(url: str, *, allow_private: bool = True) -> Answer:
    return webhook.send(url, PAYLOAD, delivery_id="the id", key=KEY, allow_private=allow_private)


def test_the_receiver_can_verify_what_it_got_and_when_it_was_sent(receiver: Receiver) -> None:
    answer = send(receiver.url("/told?of=jobs"))
    assert (answer.status, answer.error, answer.retry_after_seconds) == (204, None, None)
    told = receiver.first()
    assert told.path == "/told?of=jobs"
    assert json.loads(told.body) == PAYLOAD
    timestamp = told.headers["X-Voiceworks-Timestamp"]
    assert abs(int(timestamp) - time.time()) < 5
    expected = hmac.new(KEY.encode(), timestamp.encode() + b"." + told.body, hashlib.sha256).hexdigest()
    assert told.headers["X-Voiceworks-Signature"] == f"sha256={expected}"
    assert told.headers["X-Voiceworks-Event"] == "job.finished"
    assert told.headers["X-Voiceworks-Delivery"] == "the id"
    assert told.headers["User-Agent"] == f"Voiceworks/{VERSION}"
    assert told.headers["Content-Type"] == "application/json"


def test_the_signature_is_that_of_a_known_example() -> None:
    # printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
    known = "b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
    assert webhook.signature("secret", "1700000000", b"{}") == f"sha256={known}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.replies.append(Reply(status, (("Location", receiver.url("/elsewhere")),)))
    answer = send(receiver.url())
    assert answer.status == status
    assert answer.error is not None
    assert "redirect" in answer.error
    assert receiver.paths() == ["/told"]


@pytest.mark.parametrize("status", [200, 202, 299, 400, 404, 410, 500])
def test_the_status_is_told_as_it_is(receiver: Receiver, status: int) -> None:
    receiver.replies.append(Reply(status))
    assert send(receiver.url()).status == status


def test_when_to_come_back_is_read_as_seconds_and_as_a_date_of_those_who_are_busy_only(receiver: Receiver) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    for value in ("77", later, "soon", ""):
        receiver.replies.append(Reply(503, (("Retry-After", value),)))
    receiver.replies.append(Reply(500, (("Retry-After", "77"),)))
    seconds = [send(receiver.url()).retry_after_seconds for _ in range(5)]
    assert seconds[0] == 77
    assert seconds[1] == pytest.approx(90, abs=3)
    assert seconds[2:] == [None, None, None]


@pytest.mark.parametrize("zone", ["+99999999999999", "-9999", "+2400"])
def test_a_date_in_a_zone_that_cannot_be_is_no_time_to_come_back(receiver: Receiver, zone: str) -> None:
    receiver.replies.append(Reply(429, (("Retry-After", f"Mon, 01 Jan 2024 00:00:00 {zone}"),)))
    answer = send(receiver.url())
    assert (answer.status, answer.retry_after_seconds) == (429, None)


def test_nobody_there_is_an_error_that_says_so() -> None:
    with receiving() as gone:
        url = gone.url()
    answer = send(url)
    assert (answer.status, answer.error) == (None, "It refused the connection.")


def test_a_name_that_nobody_has_is_an_error_that_says_so() -> None:
    for url in ("http://nobody.invalid/", f"http://{'a' * 70}.invalid/"):
        assert send(url).error == "Its name was not found."
        assert send(url, allow_private=False).error == "Its name was not found."


# --- Private addresses --------------------------------------------------------------------------------------------

SPELLINGS = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001"),
    *("0.0.0.0", "0", "localhost", "LOCALHOST"),
    *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[::]"),
]


@pytest.mark.parametrize("host", SPELLINGS)
def test_this_machine_is_not_reached_by_any_spelling_of_it(receiver: Receiver, host: str) -> None:
    answer = send(receiver.url(host=host), allow_private=False)
    assert answer.status is None
    assert receiver.told == []
    assert answer.error is not None
    assert "private" in answer.error


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "localhost", "0"])
def test_the_same_spellings_reach_it_where_that_is_allowed(receiver: Receiver, host: str) -> None:
    assert send(receiver.url(host=host)).status == 204
    assert len(receiver.told) == 1


def test_this_machine_is_reached_by_ipv6_only_where_that_is_allowed() -> None:
    with receiving(family=socket.AF_INET6, host="::1") as receiver:
        assert send(receiver.url(host="[::1]"), allow_private=False).status is None
        assert receiver.told == []
        assert send(receiver.url(host="[::1]")).status == 204


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "[fd00::1]", "[fe80::1]"]
)
def test_private_networks_are_refused_before_anything_is_sent(host: str) -> None:
    began = time.monotonic()
    answer = send(f"http://{host}/", allow_private=False)
    assert answer.error is not None
    assert "private" in answer.error
    assert time.monotonic() - began < 2


def test_no_proxy_is_asked_to_reach_what_we_may_not(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, receiver.url(""))
    assert send("http://10.0.0.1/", allow_private=False).status is None
    assert receiver.told == []


# --- Time ---------------------------------------------------------------------------------------------------------


def dripping(piece: bytes, every_seconds: float) -> tuple[socket.socket, str]:
    """A server that never ends its answer, one piece after another."""
    listening = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 ")
            try:
                while True:
                    connection.sendall(piece)
                    time.sleep(every_seconds)
            except OSError:
                return

    threading.Thread(target=drip, daemon=True).start()
    return listening, f"http://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.mark.parametrize("piece", [b"", b"1", b"100 Continue\r\n\r\nHTTP/1.1 "], ids=["silent", "drip", "continues"])
def test_an_answer_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    monkeypatch.setattr(webhook, "WHOLE_SECONDS", 1.0)
    listening, url = dripping(piece, 0.1)
    with listening:
        answer = send(url)
    assert (answer.status, answer.error) == (None, "No answer within 1 s.")
    assert 900 < answer.took_ms < 2500


def test_a_server_that_is_silent_while_tls_is_agreed_on_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(webhook, "WHOLE_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answer = send(f"https://127.0.0.1:{listening.getsockname()[1]}/")
    assert (answer.status, answer.error) == (None, "No answer within 1 s.")
    assert answer.took_ms < 2500


def test_a_server_without_tls_is_not_told_over_tls(receiver: Receiver) -> None:
    answer = send(receiver.url().replace("http:", "https:"))
    assert answer.error is not None
    assert "secure" in answer.error
    assert receiver.told == []


@pytest.mark.parametrize(("head", "status"), [(b"200 OK", 200), (b"302 Found\r\nLocation: /elsewhere", 302)])
def test_a_body_that_never_ends_is_not_read(receiver: Receiver, head: bytes, status: int) -> None:
    listening, url = dripping(head + b"\r\nContent-Length: 1000000\r\n\r\n", 0.1)
    with listening:
        answer = send(url)
    assert answer.status == status
    assert answer.took_ms < 1000
