"""The description of the API for programs, and the page for people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from flask.testing import FlaskClient

# A route's <name> as a template's {name}.
TEMPLATED = r"{\1}"
# What a body says, by its endpoint; the rest take none.
BODIES = {
    "POST /api/auth/login": {"username", "password"},
    "POST /api/auth/password": {"old_password", "new_password"},
    "POST /api/auth/keys": {"name", "role", "expires_at"},
    "POST /api/users": {"username", "password", "role", "email"},
    "PATCH /api/users/{user_id}": {"password", "role", "email", "disabled"},
    "POST /api/curriculum": {"title", "description", "content"},
    "PUT /api/curriculum/{curriculum_id}": {"title", "description", "content"},
    "POST /api/tts": {
        *("text", "voice_id", "provider", "curriculum_id", "speed", "format"),
        *("sample_rate", "channels", "loudness_lufs", "seed"),
    },
    "POST /api/pronunciations": {"written", "spoken", "curriculum_id"},
    "POST /v1/audio/speech": {
        *("model", "input", "voice", "response_format", "speed", "instructions", "stream_format"),
    },
    "POST /v1/audio/speech/batch": {"items", "encoding"},
    "POST /api/tts/prefetch/topic": {"curriculum_id", "topic_id", "voice_id", "provider", "speed"},
}
QUERIES = {
    "GET /api/curriculum": {"limit", "offset"},
    "GET /api/users": {"limit", "offset"},
    "GET /api/curriculum/search": {"q", "limit", "offset"},
    "DELETE /api/curriculum/{curriculum_id}": {"force"},
    "GET /api/tts/cache": {"text", "voice_id", "provider", "curriculum_id", "speed", "seed"},
    "GET /api/tts/voices": {"limit", "offset"},
    "GET /api/speech/{key}.{extension}": {"sample_rate", "channels", "loudness_lufs"},
    "GET /api/speech/{key}/captions": {"format"},
    "GET /api/curriculum/{curriculum_id}/topics/{topic_id}/captions": {"format", "voice_id", "provider", "speed"},
    "GET /api/pronunciations": {"curriculum_id", "limit", "offset"},
    "GET /api/pronunciations/file": {"curriculum_id"},
    "PUT /api/pronunciations/file": {"curriculum_id"},
    "GET /api/jobs": {"kind", "state", "limit", "cursor"},
    "GET /api/jobs/{job_id}/items": {"state", "limit", "cursor"},
}


@pytest.fixture
def described(lasting_client: FlaskClient) -> dict[str, Any]:
    """openapi.json, which needs no credential."""
    answer = lasting_client.get("/openapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    found: dict[str, Any] = answer.get_json()
    return found


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation as ``GET /path``, with the parameters of its path."""
    for path, item in described["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                shared = item.get("parameters", []) + operation.get("parameters", [])
                yield f"{method.upper()} {path}", operation | {"parameters": shared}


def resolved(described: dict[str, Any], value: Any) -> Any:
    """What a reference points to; anything else as it is."""
    if isinstance(value, dict) and "$ref" in value:
        found: Any = described
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return found
    return value


def test_it_says_what_it_is(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1.")
    assert described["info"]["title"] == "Voiceworks"
    assert re.fullmatch(r"\d+\.\d+\.\d+", described["info"]["version"])


def test_it_lists_every_route_and_no_other(described: dict[str, Any], lasting_client: FlaskClient) -> None:
    routes = {
        f"{method} {re.sub('<(?:path:)?([^>]+)>', TEMPLATED, rule.rule)}"
        for rule in lasting_client.application.url_map.iter_rules()
        if not rule.websocket and rule.rule != "/openapi.json"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {name for name, _ in operations(described)} == routes


def test_every_operation_says_what_it_gives_and_names_its_parameters(described: dict[str, Any]) -> None:
    for name, operation in operations(described):
        assert operation["summary"], name
        assert operation["responses"], name
        declared = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert declared == set(re.findall(r"\{(\w+)\}", name)), name
        assert all(each["required"] for each in operation["parameters"] if each["in"] == "path"), name


def test_every_body_is_described_by_its_schema(described: dict[str, Any]) -> None:
    found = {}
    for name, operation in operations(described):
        if "requestBody" in operation:
            assert operation["requestBody"]["required"] is True
            schema = resolved(described, operation["requestBody"]["content"]["application/json"]["schema"])
            # OpenAI's surface passes over what it does not know.
            assert (schema["type"], schema.get("additionalProperties", True)) == ("object", " /v1/" in name)
            assert set(schema.get("required", [])) <= set(schema["properties"])
            found[name] = set(schema["properties"])
    assert found == BODIES


def test_every_query_parameter_is_described(described: dict[str, Any]) -> None:
    found = {
        name: names
        for name, operation in operations(described)
        if (names := {each["name"] for each in operation["parameters"] if each["in"] == "query"})
    }
    assert found == QUERIES


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    waiting, references = [described], 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "$ref" in value:
                references += 1
                assert resolved(described, value) is not None
            waiting += [each for each in value.values() if isinstance(each, dict | list)]
        else:
            waiting += [each for each in value if isinstance(each, dict | list)]
    assert references > len(BODIES)


# --- The page -----------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page loads, and what of it a strict policy would not run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.assets: set[str] = set()
        self.inline: list[str] = []
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes what a tag loads, and handlers and styles written into it."""
        given = dict(attrs)
        if tag == "script" or (tag == "link" and given.get("rel") == "stylesheet"):
            self.assets.add(given.get("src") or given.get("href") or "")
        self.inline += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]
        self._within = tag

    def handle_data(self, data: str) -> None:
        """Notes code between tags."""
        if self._within in ("script", "style") and data.strip():
            self.inline.append(data)


def policy(header: str) -> dict[str, set[str]]:
    """A Content-Security-Policy by its directives."""
    parts = (part.split() for part in header.split(";"))
    return {name: set(sources) for name, *sources in parts}


def test_the_page_is_served_under_a_policy_that_it_keeps(lasting_client: FlaskClient) -> None:
    answer = lasting_client.get("/")
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    allowed = policy(answer.headers["Content-Security-Policy"])
    assert allowed["default-src"] == {"'none'"}
    assert allowed["script-src"] == allowed["style-src"] == allowed["connect-src"] == {"'self'"}
    assert not any("unsafe" in source or source == "*" for sources in allowed.values() for source in sources)
    # These do not fall back to default-src.
    assert allowed["frame-ancestors"] == allowed["base-uri"] == allowed["form-action"] == {"'none'"}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    page = Page(answer.text)
    assert page.inline == []
    assert len(page.assets) == 2
    for asset in page.assets:
        assert asset.startswith("/static/")


def test_everything_the_page_loads_is_there(lasting_client: FlaskClient) -> None:
    for asset in Page(lasting_client.get("/").text).assets:
        answer = lasting_client.get(asset)
        assert answer.status_code == 200
        assert answer.mimetype == ("text/css" if asset.endswith(".css") else "text/javascript")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Content-Security-Policy" in answer.headers
        # Asked again, it is not sent again.
        again = lasting_client.get(asset, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        *("/static/nothing.js", "/static/", "/static/../page.py", "/static/%2e%2e/page.py"),
        *("/static/..%2fpage.py", "/static//etc/passwd", "/static/%2fetc/passwd", "/static/app.js%00"),
    ],
)
def test_nothing_but_the_pages_files_is_served(lasting_client: FlaskClient, path: str) -> None:
    answer = lasting_client.get(path)
    assert answer.status_code in (308, 404)
    assert b"import" not in answer.data
