"""What must be refused: by name, in the surface's shape, with nothing stored and never a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models.db import Database
from models.jobs.tables import Job
from tests.app.conftest import row_counts

TTS, LOGIN, PREFETCH, CURRICULUM = "/api/tts", "/api/auth/login", "/api/tts/prefetch/topic", "/api/curriculum"
LOOK = "/api/tts/cache"
LONG = "x" * 100_000
# Python's limit on digits would make an exception of this one, its size alone of the next.
MANY_DIGITS = b"1" + b"0" * 5000
BEYOND_64_BITS = b"1" + b"0" * 30


@dataclass(frozen=True)
class Bad:
    """A request that must be refused with an error that says each of ``names``."""

    path: str
    body: Any = None
    names: tuple[str, ...] = ()
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 400
    code: str = "VALIDATION_ERROR"

    @property
    def sent(self) -> dict[str, Any]:
        """For the test client: bytes as they are, anything else as JSON."""
        if self.body is None:
            return {"headers": self.headers}
        raw = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return {"data": raw, "headers": {"Content-Type": "application/json"} | self.headers}


def _said(**fields: Any) -> dict[str, Any]:
    return {"text": "Hello."} | fields


def _raw(name: str, value: bytes) -> bytes:
    return b'{"text": "Hello.", "%s": %s}' % (name.encode(), value)


def _typed(content_type: str, body: bytes) -> Bad:
    return Bad(TTS, body, ("Content-Type", content_type), headers={"Content-Type": content_type})


def _course(**fields: Any) -> dict[str, Any]:
    return {"title": "Course", "content": []} | fields


def _topic(**fields: Any) -> dict[str, Any]:
    return _course(content=[{"title": "Topic", "segments": ["One."]} | fields])


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


SPEECH = {
    "empty text": Bad(TTS, _said(text=""), ("text", "''")),
    "emoji only": Bad(TTS, _said(text="👋 👩‍🚀"), ("text", "'👋 ")),
    "signs only": Bad(TTS, _said(text="…!?"), ("text", "'…!?'")),
    "a zero-width space": Bad(TTS, _said(text="\u200b"), ("text", r"'\u200b'")),
    "a flag": Bad(TTS, _said(text="🇩🇪"), ("text", "'🇩🇪'")),
    "spaces only": Bad(TTS, _said(text=" \n\t "), ("text", r"' \n\t '")),
    "no text": Bad(TTS, {}, ("text",)),
    "20,001 characters": Bad(TTS, _said(text="x" * 20_001), ("text", "20001", "20000")),
    "5 MB of text": Bad(TTS, _said(text="x" * 5_000_000), ("text", "5000000")),
    "text as a number": Bad(TTS, _said(text=5), ("text", "5")),
    "text as null": Bad(TTS, _said(text=None), ("text",)),
    "text as a list": Bad(TTS, _said(text=["Hello."]), ("text", "['Hello.']")),
    "text as an object": Bad(TTS, _said(text={"a": 1}), ("text", "{'a': 1}")),
    "unknown voice": Bad(TTS, _said(voice_id="nobody"), ("voice_id", "'nobody'", "nova")),
    "unknown provider": Bad(TTS, _said(provider="nobody"), ("provider", "'nobody'", "hibari")),
    "provider by two names": Bad(TTS, _said(provider="hibari", tts_provider="hibari"), ("provider", "tts_provider")),
    "voice as a number": Bad(TTS, _said(voice_id=5), ("voice_id", "5")),
    "a long voice": Bad(TTS, _said(voice_id=LONG), ("voice_id", "100000")),
    "speed 9": Bad(TTS, _said(speed=9), ("speed", "9", "0.25 to 4")),
    "speed 0": Bad(TTS, _said(speed=0), ("speed", "0")),
    "speed -1": Bad(TTS, _said(speed=-1), ("speed", "-1")),
    "speed as text": Bad(TTS, _said(speed="1"), ("speed", "'1'")),
    "speed true": Bad(TTS, _said(speed=True), ("speed", "True")),
    "speed null": Bad(TTS, _said(speed=None), ("speed",)),
    "speed as a list": Bad(TTS, _said(speed=[1]), ("speed", "[1]")),
    "speed NaN": Bad(TTS, _raw("speed", b"NaN"), ("speed", "nan")),
    "speed Infinity": Bad(TTS, _raw("speed", b"-Infinity"), ("speed", "-inf")),
    "speed 1e400": Bad(TTS, _raw("speed", b"1e400"), ("speed", "inf")),
    "speed of 31 digits": Bad(TTS, _raw("speed", BEYOND_64_BITS), ("speed", "1000000000")),
    "speed of 5,001 digits": Bad(TTS, _raw("speed", MANY_DIGITS), ("not valid JSON", "digits")),
    "bad format": Bad(TTS, _said(format="exe"), ("format", "'exe'", "wav")),
    "format as a number": Bad(TTS, _said(format=5), ("format", "5")),
    "format null": Bad(TTS, _said(format=None), ("format",)),
    "an unknown field": Bad(TTS, _said(pitch=2), ("pitch",)),
    "an unknown field of a long name": Bad(TTS, _said(**{LONG: 2}), ("xxx",)),
    "NUL in the text": Bad(TTS, _said(text="a\0b"), ("text", "NUL")),
    "NUL in a field's name": Bad(TTS, _said(**{"a\0b": 1}), ("NUL",)),
    "half a surrogate pair": Bad(TTS, b'{"text": "a\\ud800b"}', ("text", "surrogate")),
    "the other half": Bad(TTS, b'{"text": "a\\udc00b"}', ("text", "surrogate")),
    "a raw surrogate": Bad(TTS, b'{"text": "a\xed\xa0\x80b"}', ("text", "surrogate")),
    "invalid UTF-8": Bad(TTS, b'{"text": "a\xff\xfeb"}', ("not valid JSON",)),
}

BODIES = {
    "no body": Bad(TTS, b"", ("text",)),
    "malformed JSON": Bad(TTS, b'{"text": "Hel', ("not valid JSON",)),
    "an empty list": Bad(TTS, [], ("object", "list")),
    "a list": Bad(TTS, [{"text": "Hello."}], ("object", "list")),
    "a text": Bad(TTS, "Hello.", ("object", "str")),
    "a number": Bad(TTS, 5, ("object", "int")),
    "null": Bad(TTS, b"null", ("object", "NoneType")),
    "two values": Bad(TTS, b"{} {}", ("not valid JSON",)),
    "nested 100,000 deep": Bad(TTS, b"[" * 100_000, ("not valid JSON",)),
    "a form": _typed("application/x-www-form-urlencoded", b"text=Hello"),
    "plain text": _typed("text/plain", b"Hello"),
    "multipart": _typed("multipart/form-data; boundary=x", b"--x--"),
    "JSON of no type": _typed("", b'{"text": "Hello."}'),
    "more than 16 MiB": Bad(TTS, b" " * (16 * 2**20 + 1), (), status=413, code="PAYLOAD_TOO_LARGE"),
    "a course of more than 16 MiB": Bad(
        CURRICULUM, b" " * (16 * 2**20 + 1), (), status=413, code="PAYLOAD_TOO_LARGE"
    ),
}  # fmt: skip

LOGINS = {
    "no password": Bad(LOGIN, {"username": "client"}, ("password",)),
    "an empty username": Bad(LOGIN, {"username": "", "password": "x"}, ("username", "''")),
    "username as a number": Bad(LOGIN, {"username": 5, "password": "x"}, ("username", "5")),
    "NUL in the username": Bad(LOGIN, {"username": "a\0", "password": "x"}, ("username", "NUL")),
    "a surrogate in the password": Bad(LOGIN, b'{"username": "a", "password": "\\ud800"}', ("password", "surrogate")),
    "a password of a megabyte": Bad(LOGIN, {"username": "a", "password": "x" * 10**6}, ("password", "1000000")),
}

PREFETCHES = {
    "no course": Bad(PREFETCH, {"topic_id": "t"}, ("curriculum_id",)),
    "an empty course": Bad(PREFETCH, {"curriculum_id": ""}, ("curriculum_id", "''")),
    "course as a number": Bad(PREFETCH, {"curriculum_id": 5}, ("curriculum_id", "5")),
    "a long course": Bad(PREFETCH, {"curriculum_id": LONG}, ("curriculum_id", "100000")),
    "an unknown voice": Bad(PREFETCH, {"curriculum_id": "c", "voice_id": "nobody"}, ("voice_id", "'nobody'")),
    "an unknown provider": Bad(PREFETCH, {"curriculum_id": "c", "provider": "nobody"}, ("provider", "'nobody'")),
    "speed 9": Bad(PREFETCH, {"curriculum_id": "c", "speed": 9}, ("speed", "9")),
    "an unknown field": Bad(PREFETCH, {"curriculum_id": "c", "priority": 1}, ("priority",)),
    "an unknown course": Bad(PREFETCH, {"curriculum_id": "nothing"}, ("'nothing'",), status=404, code="NOT_FOUND"),
}

COURSES = (
    {
        "no title": Bad(CURRICULUM, {"content": []}, ("title",)),
        "an empty title": Bad(CURRICULUM, _course(title=""), ("title", "''")),
        "a blank title": Bad(CURRICULUM, _course(title="  "), ("title", "'  '")),
        "a long title": Bad(CURRICULUM, _course(title="x" * 501), ("title", "501")),
        "title as a list": Bad(CURRICULUM, _course(title=["a"]), ("title", "['a']")),
        "description as a number": Bad(CURRICULUM, _course(description=5), ("description", "5")),
        "content as a text": Bad(CURRICULUM, _course(content="One."), ("content", "'One.'")),
        "content as an object": Bad(CURRICULUM, _course(content={"title": "a"}), ("content", "{'title': 'a'}")),
        "content null": Bad(CURRICULUM, _course(content=None), ("content",)),
        "a topic that is a number": Bad(CURRICULUM, _course(content=[5]), ("content[0]", "5")),
        "a topic without a title": Bad(CURRICULUM, _course(content=[{"segments": []}]), ("content[0].title", "None")),
        "a blank topic title": Bad(CURRICULUM, _topic(title="  "), ("content[0].title", "empty")),
        "segments as a number": Bad(CURRICULUM, _topic(segments=5), ("content[0].segments", "5")),
        "a segment that is a number": Bad(CURRICULUM, _topic(segments=["One.", 5]), ("content[0].segments[1]", "5")),
        "a segment without a text": Bad(CURRICULUM, _topic(segments=[{"id": "s"}]), ("content[0].segments[0].text",)),
        "an empty segment": Bad(CURRICULUM, _topic(segments=[""]), ("content[0].segments[0]", "empty")),
        "a segment of 20,001 characters": Bad(CURRICULUM, _topic(segments=["x" * 20_001]), ("segments[0]", "20001")),
        "an id that is a list": Bad(CURRICULUM, _topic(id=["a"]), ("content[0].id", "['a']")),
        "an id that is true": Bad(CURRICULUM, _topic(id=True), ("content[0].id", "True")),
        "an empty id": Bad(CURRICULUM, _topic(id=""), ("content[0].id", "''")),
        "a long id": Bad(CURRICULUM, _topic(id=LONG), ("content[0].id",)),
        "one topic id twice": Bad(
            CURRICULUM, _course(content=[{"id": "t", "title": "A"}, {"id": "t", "title": "B"}]), ("opic id", "'t'")
        ),
        "one segment id twice": Bad(
            CURRICULUM, _topic(segments=[{"id": "s", "text": "A"}, {"id": "s", "text": "B"}]), ("egment id", "'s'")
        ),
        "NUL deep in unknown keys": Bad(
            CURRICULUM, _topic(notes={"a": [{"b": "x\0y"}]}), ("content[0].notes.a[0].b", "NUL")
        ),
        "NUL in an unknown key's name": Bad(
            CURRICULUM, _topic(notes={"a": {"x\0y": 1}}), ("content[0].notes.a", "NUL")
        ),
        "a surrogate deep in unknown keys": Bad(
            CURRICULUM,
            b'{"title": "C", "content": [{"title": "T", "n": ["\\udfff"]}]}',
            ("content[0].n[0]", "surrogate"),
        ),
        "NaN deep in unknown keys": Bad(
            CURRICULUM, b'{"title": "C", "content": [{"title": "T", "n": [NaN]}]}', ("content[0].n[0]", "nan")
        ),
        "a huge integer in unknown keys": Bad(
            CURRICULUM,
            b'{"title": "C", "content": [{"title": "T", "n": %s}]}' % BEYOND_64_BITS,
            ("content[0].n", "10000"),
        ),
        "an unknown field": Bad(CURRICULUM, _course(level=1), ("level",)),
    }
    | {
        "nested 200 deep": Bad(CURRICULUM, _topic(notes=_nested(200)), ("content[0].notes", "deep")),
    }
    | {
        # Where Python's own limit strikes first depends on how deep the reader stands.
        f"nested {depth} deep": Bad(CURRICULUM, _topic(notes=_nested(depth)), ("de",))
        for depth in (800, 850, 900, 925, 950)
    }
)

QUERIES = {
    "limit -1": Bad(f"{CURRICULUM}?limit=-1", None, ("limit", "-1"), method="GET"),
    "limit abc": Bad(f"{CURRICULUM}?limit=abc", None, ("limit", "'abc'"), method="GET"),
    "limit 1.5": Bad(f"{CURRICULUM}?limit=1.5", None, ("limit", "'1.5'"), method="GET"),
    "limit --5": Bad(f"{CURRICULUM}?limit=--5", None, ("limit", "'--5'"), method="GET"),
    "limit ²": Bad(f"{CURRICULUM}?limit=²", None, ("limit",), method="GET"),
    "an empty limit": Bad(f"{CURRICULUM}?limit=", None, ("limit", "''"), method="GET"),
    "limit with NUL": Bad(f"{CURRICULUM}?limit=1%00", None, ("limit", "NUL"), method="GET"),
    "a limit of 5,000 digits": Bad(f"{CURRICULUM}?limit={'9' * 5000}", None, ("limit",), method="GET"),
    "offset -1": Bad(f"{CURRICULUM}?offset=-1", None, ("offset", "-1"), method="GET"),
    "state bogus": Bad("/api/jobs?state=bogus", None, ("state", "'bogus'", "queued"), method="GET"),
    "jobs limit -1": Bad("/api/jobs?limit=-1", None, ("limit", "-1"), method="GET"),
    "a long kind": Bad(f"/api/jobs?kind={'x' * 101}", None, ("kind", "101"), method="GET"),
    "NUL in the kind": Bad("/api/jobs?kind=%00", None, ("kind", "NUL"), method="GET"),
    "a bad cursor": Bad("/api/jobs?cursor=nothing", None, ("cursor", "'nothing'"), method="GET"),
    "a long cursor": Bad(f"/api/jobs?cursor={'x' * 101}", None, ("cursor", "101"), method="GET"),
    "no text": Bad(LOOK, None, ("text",), method="GET"),
    "an empty text": Bad(f"{LOOK}?text=", None, ("text", "''"), method="GET"),
    "NUL in the text": Bad(f"{LOOK}?text=a%00b", None, ("text", "NUL"), method="GET"),
    "an unknown voice": Bad(f"{LOOK}?text=a&voice_id=nobody", None, ("voice_id", "'nobody'"), method="GET"),
    "an unknown provider": Bad(f"{LOOK}?text=a&provider=nobody", None, ("provider", "'nobody'"), method="GET"),
    "speed 9": Bad(f"{LOOK}?text=a&speed=9", None, ("speed", "9"), method="GET"),
    "speed nan": Bad(f"{LOOK}?text=a&speed=nan", None, ("speed", "nan"), method="GET"),
    "speed 1e400": Bad(f"{LOOK}?text=a&speed=1e400", None, ("speed", "inf"), method="GET"),
    "speed fast": Bad(f"{LOOK}?text=a&speed=fast", None, ("speed", "'fast'"), method="GET"),
}

_UNKNOWN = {"status": 404, "code": "NOT_FOUND", "method": "GET"}
PATHS = {
    f"{path} {name}": Bad(path.format(bad), None, (), **(_UNKNOWN | {"method": method}))
    for method, path in (
        ("GET", "/api/curriculum/{}"),
        ("GET", "/api/jobs/{}"),
        ("GET", "/api/jobs/{}/items"),
        ("GET", "/api/jobs/{}/result"),
        ("POST", "/api/jobs/{}/cancel"),
        ("POST", "/api/jobs/{}/pause"),
        ("POST", "/api/jobs/{}/resume"),
        ("POST", "/api/jobs/{}/retry"),
        ("GET", "/api/tts/prefetch/{}"),
        ("DELETE", "/api/tts/prefetch/{}"),
        ("GET", "/api/speech/{}.wav"),
    )
    for name, bad in {
        "unknown": "nothing",
        "NUL": "a%00b",
        "very long": "x" * 60_000,
        "a quote": "'; drop table jobs; --",
        "a control character": "a%01b",
        "a lone surrogate": "a%ED%A0%80b",
        "not UTF-8": "a%FFb",
        "dots": "..%2f..%2fetc",
    }.items()
} | {
    "an unknown format": Bad("/api/speech/nothing.exe", None, ("'exe'", "wav"), **_UNKNOWN),
}  # fmt: skip

TABLES = {
    "speech": SPEECH,
    "body": BODIES,
    "login": LOGINS,
    "prefetch": PREFETCHES,
    "course": COURSES,
    "query": QUERIES,
    "path": PATHS,
}


@pytest.fixture
def stored_nothing(lasting_database: Database) -> Iterator[None]:
    """Fails when a test leaves a row behind."""
    before = row_counts(lasting_database)
    yield
    assert row_counts(lasting_database) == before


@pytest.mark.parametrize(
    "bad",
    [pytest.param(bad, id=f"{table}: {name}") for table, bads in TABLES.items() for name, bad in bads.items()],
)
def test_bad_input_is_refused_by_name_and_nothing_is_stored(
    lasting_client: FlaskClient, customer: dict[str, str], stored_nothing: None, bad: Bad
) -> None:
    sent = bad.sent
    sent["headers"] = customer | sent["headers"]
    answer = lasting_client.open(bad.path, method=bad.method, **sent)
    assert_refused(answer, bad.status, bad.code)
    missing = [name for name in bad.names if name not in answer.get_json()["error"]]
    assert not missing, f"{answer.get_json()} does not say {missing}"
    assert len(answer.get_json()["error"]) < 3000


def assert_refused(answer: TestResponse, status: int, code: str) -> None:
    """Fails unless the answer is an error in management's shape."""
    assert answer.status_code == status, answer.text[:500]
    body = answer.get_json()
    # A path with NUL is refused before a surface is known.
    assert set(body) - {"detail"} == {"error", "code", "details"}
    assert body["code"] == code
    assert answer.headers["X-Request-ID"]


def test_a_large_page_or_offset_is_clipped_rather_than_refused(client: FlaskClient, customer: dict[str, str]) -> None:
    huge = client.get(f"{CURRICULUM}?limit={10**30}&offset={10**30}", headers=customer)
    assert (huge.status_code, huge.get_json()["curricula"]) == (200, [])
    assert huge.get_json()["limit"] == 200
    assert client.get(f"/api/jobs?limit={10**30}", headers=customer).status_code == 200


def test_unknown_query_parameters_are_ignored(client: FlaskClient, customer: dict[str, str]) -> None:
    assert client.get(f"{CURRICULUM}?page=2&limit=3", headers=customer).get_json()["limit"] == 3


def test_a_course_of_ten_thousand_segments_is_stored_and_got_in_order(
    client: FlaskClient, customer: dict[str, str]
) -> None:
    texts = [f"Segment {number}." for number in range(10_000)]
    content = [{"title": f"Topic {at}", "segments": texts[at * 1000 : (at + 1) * 1000]} for at in range(10)]
    created = client.post(CURRICULUM, json={"title": "Long", "content": content}, headers=customer)
    assert created.status_code == 201
    assert (created.get_json()["topic_count"], created.get_json()["segment_count"]) == (10, 10_000)
    got = client.get(f"{CURRICULUM}/{created.get_json()['id']}", headers=customer).get_json()
    assert [segment["text"] for topic in got["content"] for segment in topic["segments"]] == texts


def test_ten_thousand_equal_ids_are_refused_quickly(client: FlaskClient, customer: dict[str, str]) -> None:
    segments = [{"id": f"s{number // 2}", "text": "One."} for number in range(10_000)]
    answer = client.post(CURRICULUM, json=_topic(segments=segments), headers=customer)
    assert_refused(answer, 400, "VALIDATION_ERROR")


def test_an_id_that_another_course_has_is_no_obstacle(client: FlaskClient, customer: dict[str, str]) -> None:
    first = client.post(CURRICULUM, json=_topic(id="mine"), headers=customer)
    second = client.post(CURRICULUM, json=_topic(id="mine"), headers=customer)
    assert [answer.status_code for answer in (first, second)] == [201, 201]
    assert second.get_json()["content"][0]["id"] == "mine"


def test_a_deep_but_reasonable_course_is_kept_whole(client: FlaskClient, customer: dict[str, str]) -> None:
    notes = _nested(50)
    created = client.post(CURRICULUM, json=_topic(notes=notes), headers=customer).get_json()
    got = client.get(f"{CURRICULUM}/{created['id']}", headers=customer).get_json()
    assert got["content"][0]["notes"] == notes


def test_a_text_that_the_voice_cannot_say_is_refused_by_the_worker(
    client: FlaskClient, customer: dict[str, str], database: Database, worker: Any
) -> None:
    # Letters, so it goes to the worker; none of them is English.
    answer = client.post(TTS, json={"text": "你好"}, headers=customer)
    assert_refused(answer, 400, "VALIDATION_ERROR")
    assert "text" in answer.get_json()["error"]
    with database.transaction() as session:
        (job,) = session.query(Job).all()
        assert (job.state, job.error_code) == ("failed", "nothing_to_say")
