"""Behind nginx, as ``deploy/nginx`` has it, a client finds everything that it would find without."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse

import pytest
import requests
import websocket

from tests.conftest import eventually
from tests.journeys import proxy
from tests.journeys.product import API_KEY
from tests.journeys.proxy import PREFIX, Behind
from tests.journeys.texts import text, texts
from tests.web import Socket

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """The web process, one speech worker, and nginx."""
    with proxy.behind_nginx(tmp_path_factory.mktemp("behind")) as behind:
        yield behind


# --- What passes through ---------------------------------------------------------------------------------------------


def test_each_port_answers_in_the_manner_of_its_document(behind: Behind) -> None:
    unknown = {port: behind.api("GET", "/no/such/path", port=port) for port in proxy.PORTS}
    assert {answer.status_code for answer in unknown.values()} == {404}
    shapes = {port: set(answer.json()) for port, answer in unknown.items()}
    assert shapes == {
        8766: {"error", "code", "details"},
        8002: {"detail", "error_code", "timestamp"},
        7860: {"error", "code", "details"},
        8000: {"error", "message", "details"},
        8010: {"detail"},
    }
    assert behind.api("GET", "/health").json()["status"] == "healthy"


def test_progress_comes_over_a_socket(behind: Behind) -> None:
    connection = websocket.create_connection(
        f"ws://{behind.address}:8766/ws?token={API_KEY}",
        timeout=10,
        # As a page of ours: the name that the browser asked for has to arrive.
        origin=f"http://{behind.address}:8766",
    )
    try:
        socket = Socket(connection)
        socket.until("connected")
        job_id = behind.product.prefetch(texts("progress behind nginx", 4))
        heard = socket.collect("job.finished", lambda data: data["id"] == job_id, within_seconds=30)
    finally:
        connection.close(timeout=1)
    assert "job.progress" in {message["type"] for message in heard}
    # No credential in a file that many may read.
    log = behind.product.var_dir.parent / "nginx" / "voiceworks.log"
    # nginx writes the line when it has noticed that the socket is closed.
    eventually(lambda: '"GET /ws HTTP/1.1" 101' in log.read_text())
    assert API_KEY not in log.read_text()


def test_speech_arrives_while_it_is_made(behind: Behind) -> None:
    words = text("a stream behind nginx", sentences=60)
    connection, answer = _stream(behind, words)
    try:
        first = answer.read1(65536)
        assert first.startswith(b"RIFF")
        assert _state(behind, words) == "running"
        rest = answer.read()
    finally:
        connection.close()
    eventually(lambda: _state(behind, words) == "succeeded")
    # But for the header, which says nothing yet of a length.
    assert _digest((first + rest)[44:]) == _digest(behind.speak(words).content[44:])


def test_whoever_stops_listening_frees_the_worker(behind: Behind) -> None:
    words = text("a listener who leaves nginx", sentences=120)
    connection, answer = _stream(behind, words)
    assert answer.read1(65536)
    connection.close()
    answer.close()
    assert eventually(lambda: _state(behind, words) != "running", within_seconds=10)
    assert _state(behind, words) == "cancelled"


def test_an_upload_may_be_as_large_as_the_settings_say(behind: Behind) -> None:
    content = b"The sea was calm. " * (99 * 2**20 // 18)
    sent = behind.api("POST", "/api/imports", data={"source": "file"}, files={"file": ("sea.txt", content)})
    assert sent.status_code == 202, sent.text
    arrived = [path for path in (behind.product.var_dir / "imports").rglob("*") if path.is_file()]
    assert [(path.stat().st_size, _digest(path.read_bytes())) for path in arrived] == [(len(content), _digest(content))]


def test_an_upload_beyond_is_refused_in_words_that_every_client_reads(behind: Behind) -> None:
    connection = HTTPConnection(behind.address, 8766, timeout=30)
    headers = {"X-API-Key": API_KEY, "Content-Length": str(102 * 2**20), "Content-Type": "multipart/form-data"}
    connection.request("POST", "/api/imports", headers=headers)
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)["code"]) == (413, "PAYLOAD_TOO_LARGE")
    connection.close()


def test_metrics_are_for_the_monitoring_alone(behind: Behind) -> None:
    assert _from(behind.address, "127.0.0.9", "GET", "/metrics")[0] == 403
    assert _from(behind.address, "127.0.0.1", "GET", "/metrics")[0] != 403
    assert _from(behind.address, "127.0.0.9", "GET", "/health")[0] == 200


# --- Who asks --------------------------------------------------------------------------------------------------------


def test_each_client_behind_nginx_has_limits_of_its_own_whatever_it_says(behind: Behind) -> None:
    login = ("POST", "/api/auth/login", {"Content-Type": "application/json"})
    greedy = [_from(behind.address, "127.0.0.20", *login)[0] for _ in range(12)]
    assert (greedy.count(429), greedy[-1]) == (2, 429)
    # Another client has asked nothing yet; this one is known again although it says that it is another.
    assert _from(behind.address, "127.0.0.21", *login)[0] == 400
    method, path, headers = login
    assert _from(behind.address, "127.0.0.20", method, path, headers | {"X-Forwarded-For": "198.51.100.7"})[0] == 429


def test_only_the_proxy_is_believed_about_addresses(behind: Behind) -> None:
    statuses = []
    for number in range(12):
        headers = {"Content-Type": "application/json", "X-Forwarded-For": f"198.51.100.{number}"}
        statuses.append(_from(behind.product.host, "127.0.0.22", "POST", "/api/auth/login", headers)[0])
    assert statuses.count(429) == 2


# --- Files -----------------------------------------------------------------------------------------------------------


def test_files_are_sent_by_nginx_with_the_headers_that_we_would_send(behind: Behind) -> None:
    path, content = behind.clip("headers behind nginx")
    # What we answer to nginx has no body: whatever a client gets, nginx has read.
    marked = behind.product.api("GET", path, headers={"X-Accel-Prefix": PREFIX})
    assert marked.content == b""
    assert marked.headers["X-Accel-Redirect"].startswith(PREFIX)
    origin = {"Origin": "http://localhost:3000"}
    for method in ("GET", "HEAD"):
        ours = behind.product.api(method, path, headers=origin)
        nginx = behind.api(method, path, headers=origin)
        assert nginx.status_code == 200
        assert nginx.content == ours.content == (content if method == "GET" else b"")
        differ = {"Date", "Server", "Connection", "X-Request-ID"}
        assert {name: value for name, value in nginx.headers.items() if name not in differ} == {
            name: value for name, value in ours.headers.items() if name not in differ
        }
    named = behind.api("GET", path, headers={"X-Request-ID": "one-of-mine"})
    assert named.headers["X-Request-ID"] == "one-of-mine"


@pytest.mark.parametrize(
    "headers",
    [
        *({"Range": f"bytes={asked}"} for asked in ("0-0", "0-99", "1000-", "-1", "-100", "100-99999999")),
        # Outside, malformed, several.
        *({"Range": f"bytes={asked}"} for asked in ("99999999-", "-0", "-99999999", "5-2", "a-b", "0-1,5-6")),
        {"If-None-Match": "<etag>"},
        {"If-None-Match": "<etag>", "Range": "bytes=0-9"},
        {"If-None-Match": '"another"', "Range": "bytes=0-9"},
        {"If-Range": "<etag>", "Range": "bytes=10-19"},
        {"If-Range": '"another"', "Range": "bytes=10-19"},
        {"If-Match": "<etag>"},
        {"If-Match": '"another"'},
        {"If-Modified-Since": "<date>"},
        {"If-Modified-Since": "Thu, 01 Jan 2015 00:00:00 GMT"},
        {"If-Unmodified-Since": "Thu, 01 Jan 2015 00:00:00 GMT"},
    ],
    ids=str,
)
def test_whatever_part_is_asked_for_the_answer_is_ours(behind: Behind, headers: dict[str, str]) -> None:
    path, content = behind.clip("parts behind nginx")
    known = behind.api("HEAD", path).headers
    headers = {
        name: said.replace("<etag>", known["ETag"]).replace("<date>", known["Last-Modified"])
        for name, said in headers.items()
    }
    ours, nginx = behind.product.api("GET", path, headers=headers), behind.api("GET", path, headers=headers)
    assert (nginx.status_code, _told(nginx)) == (ours.status_code, _told(ours))
    if ours.status_code in (200, 206):
        assert nginx.content == ours.content
        part = re.match(r"bytes (\d+)-(\d+)/", nginx.headers.get("Content-Range", f"bytes 0-{len(content)}/"))
        assert part is not None
        assert nginx.content == content[int(part[1]) : int(part[2]) + 1]


def test_a_request_under_a_key_is_answered_with_its_sound_twice(behind: Behind) -> None:
    words = text("twice behind nginx")
    answers = [
        behind.api("POST", "/api/tts", json={"text": words}, headers={"Idempotency-Key": "once"}) for _ in range(2)
    ]
    assert answers[0].content == answers[1].content
    assert answers[0].content.startswith(b"RIFF")
    assert answers[1].headers["Idempotent-Replay"] == "true"


def test_nobody_reaches_stored_files_by_their_names(behind: Behind) -> None:
    path, _ = behind.clip("names behind nginx")
    stored = behind.product.api("GET", path, headers={"X-Accel-Prefix": PREFIX}).headers["X-Accel-Redirect"]
    assert behind.api("GET", stored).status_code == 404
    # Nor by a prefix of one's own: what nginx says of itself stands.
    assert behind.api("GET", path, headers={"X-Accel-Prefix": "/etc/"}).content.startswith(b"RIFF")


# ----------------------------------------------------------------------------------------------------------------------


def _stream(behind: Behind, words: str) -> tuple[HTTPConnection, HTTPResponse]:
    connection = HTTPConnection(behind.address, 8766, timeout=60)
    headers = {"X-API-Key": API_KEY, "Content-Type": "application/json"}
    connection.request("POST", "/api/tts?stream=1", json.dumps({"text": words}), headers)
    answer = connection.getresponse()
    assert answer.status == 200
    return connection, answer


def _state(behind: Behind, words: str) -> str:
    query = "select state from jobs where live and params -> 'clip' ->> 'text' = :words"
    return str(behind.product.value(query, words=words))


def _from(
    host: str, source: str, method: str, path: str, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str]]:
    """The status of an answer to a client at ``source``, which is an address of this machine like any 127.x."""
    connection = HTTPConnection(host, 8766, timeout=30, source_address=(source, 0))
    connection.request(method, path, body="{}" if method == "POST" else None, headers=headers or {})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, dict(answer.headers)


def _told(answer: requests.Response) -> dict[str, str | None]:
    """What an answer says of its bytes."""
    names = ("Content-Type", "Content-Length", "Content-Range", "ETag", "Accept-Ranges", "Cache-Control")
    return {name: answer.headers.get(name) for name in names}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
