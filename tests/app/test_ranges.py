"""A stored clip as a file: whole, in part, not at all when it is known; each with exactly its headers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config.settings import Settings
from models import speech_voices, workers
from models.db import Database
from models.files import FileStore
from models.speech_renditions import Form, MadeFile
from tests import making

CONTENT = bytes(range(256)) * 4
SIZE = len(CONTENT)


@dataclass(frozen=True)
class Clip:
    """A clip that was made, and how to ask for it."""

    http: FlaskClient
    path: str
    etag: str
    headers: dict[str, str]

    def get(self, method: str = "GET", **headers: str) -> TestResponse:
        """The answer; underscores in the names of headers are hyphens."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.open(self.path, method=method, headers=self.headers | sent)


@pytest.fixture
def clip(client: FlaskClient, customer: dict[str, str], database: Database, configured: Settings) -> Clip:
    """A clip of 1,024 bytes."""
    file = FileStore(configured.var_dir / "files").put(CONTENT)
    with database.transaction() as session:
        spec = speech_voices.resolve(workers.engines(session), None, None).clip("Hello.", 1.0)
    key = making.make_clip(database, spec, MadeFile(Form("wav"), file, SIZE))
    path = f"/api/speech/{key}.wav"
    return Clip(client, path, client.get(path, headers=customer).headers["ETag"], customer)


def assert_whole(answer: TestResponse) -> None:
    """Fails unless it is the whole file, and says so."""
    assert answer.status_code == 200
    assert answer.data == CONTENT
    assert answer.headers["Content-Length"] == str(SIZE)
    assert "Content-Range" not in answer.headers


def test_the_whole_file_has_these_headers(clip: Clip) -> None:
    answer = clip.get()
    assert_whole(answer)
    assert answer.headers["Content-Type"] == "audio/wav"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"] == clip.etag
    assert clip.etag.startswith('"')
    assert answer.headers["Content-Location"] == clip.path
    assert answer.headers["X-TTS-Duration-Seconds"] == "1.500"
    assert answer.headers["X-TTS-Sample-Rate"] == "24000"
    # Private: what was spoken is not for a shared cache.
    assert answer.cache_control.private
    assert not answer.cache_control.public
    assert answer.cache_control.max_age == 86400


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=100-199", 100, 199),
        ("bytes=1023-1023", 1023, 1023),
        ("bytes=1000-", 1000, 1023),
        ("bytes=0-", 0, 1023),
        ("bytes=-1", 1023, 1023),
        ("bytes=-100", 924, 1023),
        # Beyond the end: as much as there is.
        ("bytes=1000-5000", 1000, 1023),
        ("bytes=0-1024", 0, 1023),
        ("bytes=-5000", 0, 1023),
        ("bytes=0-999999999999999999", 0, 1023),
    ],
)
def test_one_range_is_answered_with_exactly_its_bytes(clip: Clip, asked: str, first: int, last: int) -> None:
    answer = clip.get(Range=asked)
    assert answer.status_code == 206
    assert answer.data == CONTENT[first : last + 1]
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.headers["Content-Length"] == str(last - first + 1)
    assert (answer.headers["Content-Type"], answer.headers["ETag"]) == ("audio/wav", clip.etag)


@pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=1024-2000", "bytes=999999999999999999-", "bytes=-0"])
def test_a_range_outside_is_a_416_that_says_how_long_the_file_is(clip: Clip, asked: str) -> None:
    answer = clip.get(Range=asked)
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"
    assert set(answer.get_json()) == {"error", "code", "details"}
    assert answer.get_json()["code"] == "RANGE_NOT_SATISFIABLE"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,5-6",
        "bytes=0-1, 2000-",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=",
        "bytes=-",
        "bytes",
        "0-5",
        "items=0-5",
        "bytes=0--5",
        "bytes=0-5-9",
        "bytes=+1-5",
        "bytes=1.5-3",
        "bytes=0x0-5",
        "bytes=" + "9" * 400 + "-",
        "bytes=²-5",
        "",
    ],
)
def test_a_malformed_or_multiple_range_counts_as_none(clip: Clip, asked: str) -> None:
    assert_whole(clip.get(Range=asked))


def test_if_range_gives_the_part_of_the_same_file_and_the_whole_of_another(clip: Clip) -> None:
    assert clip.get(Range="bytes=0-9", If_Range=clip.etag).data == CONTENT[:10]
    assert_whole(clip.get(Range="bytes=0-9", If_Range='"another"'))
    # A weak validator cannot promise equal bytes.
    assert_whole(clip.get(Range="bytes=0-9", If_Range=f"W/{clip.etag}"))
    assert_whole(clip.get(Range="bytes=2000-", If_Range='"another"'))


def test_if_none_match_is_answered_without_a_body_while_the_file_is_the_same(clip: Clip) -> None:
    for known in (clip.etag, f"W/{clip.etag}", f'"another", {clip.etag}', "*"):
        answer = clip.get(If_None_Match=known)
        assert (answer.status_code, answer.data) == (304, b""), known
        assert answer.headers["ETag"] == clip.etag
        assert "Content-Type" not in answer.headers
    assert_whole(clip.get(If_None_Match='"another"'))
    # Not modified comes before any range.
    assert clip.get(If_None_Match=clip.etag, Range="bytes=0-9").status_code == 304


def test_head_has_the_headers_of_get_and_no_body(clip: Clip) -> None:
    whole, head = clip.get(), clip.get("HEAD")
    assert (head.status_code, head.data) == (200, b"")
    same = set(whole.headers.keys()) - {"Date", "X-Request-ID"}
    assert {name: head.headers.get(name) for name in same} == {name: whole.headers[name] for name in same}


def test_a_client_may_resume_where_it_was_cut_off(clip: Clip) -> None:
    got = b""
    while len(got) < SIZE:
        got += clip.get(Range=f"bytes={len(got)}-{len(got) + 99}", If_Range=clip.etag).data
    assert got == CONTENT


def test_a_generated_answer_is_whole_whatever_range_is_asked(clip: Clip, customer: dict[str, str]) -> None:
    # POST makes something; only its location has parts.
    for headers in ({"Range": "bytes=0-9"}, {"If-None-Match": clip.etag}, {"Range": "bytes=5000-"}):
        answer = clip.http.post("/api/tts", json={"text": "Hello."}, headers=customer | headers)
        assert_whole(answer)
        assert answer.headers["X-TTS-Cache-Status"] == "hit"


def test_a_clip_whose_file_is_gone_is_not_found_and_forgotten(clip: Clip, configured: Settings) -> None:
    (stored,) = [
        path for path in (configured.var_dir / "files").rglob("*") if path.is_file() and path.read_bytes() == CONTENT
    ]
    stored.unlink()
    gone = clip.get()
    assert (gone.status_code, gone.get_json()["code"]) == (404, "NOT_FOUND")
    assert "ask for its text again" in gone.get_json()["error"]
    # It is not offered again: the next look finds no clip at all.
    assert "There is no clip" in clip.get().get_json()["error"]


def test_a_clip_in_a_form_that_was_not_made_is_made_when_somebody_can(
    clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.workers.able", lambda session, lane: 0)
    other = clip.http.get(clip.path.replace(".wav", ".flac"), headers=clip.headers)
    assert (other.status_code, other.get_json()["code"]) == (503, "PROVIDER_UNAVAILABLE")
