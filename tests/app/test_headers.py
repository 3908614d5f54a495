"""What every answer tells browsers and caches, whoever asks and whatever comes of it."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from app import access_table
from app.access_table import SOCKET
from models.db import Database
from tests.roles import AGENT, key_of_role

POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


@pytest.mark.parametrize("role", [None, "client", "agent", "admin"])
def test_no_answer_of_any_route_may_be_guessed_at_framed_or_kept_by_a_shared_cache(
    client: FlaskClient, database: Database, role: str | None
) -> None:
    headers = key_of_role(database, role) if role else {}
    for line in access_table.lines(client.application):
        path = re.sub(r"<[^>]+>", "x", re.sub(r"<int:[^>]+>", str(AGENT), line.rule))
        if line.method == SOCKET:
            continue
        said = client.open(path, method=line.method, headers=headers).headers
        assert said["X-Content-Type-Options"] == "nosniff", line.name
        assert said["Referrer-Policy"] == "no-referrer", line.name
        assert "frame-ancestors 'none'" in said["Content-Security-Policy"], line.name
        assert "default-src 'none'" in said["Content-Security-Policy"], line.name
        kept_by_all = {"public"} & set(re.split(r"[ ,]+", said["Cache-Control"]))
        assert not kept_by_all or line.access is None, line.name


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/health", "no-store"),
        ("/api/curriculum", "no-store"),
        ("/api/auth/webhook-secret", "no-store"),
        ("/nothing", "no-store"),
        ("/openapi.json", "private, no-cache"),
        ("/", "no-cache"),
    ],
)
def test_only_what_can_be_asked_for_again_by_its_tag_is_kept_at_all(
    client: FlaskClient, admin: dict[str, str], path: str, expected: str
) -> None:
    answer = client.get(path, headers=admin)
    assert answer.headers["Cache-Control"] == expected
    assert ("ETag" in answer.headers) == (expected != "no-store")


def test_what_a_view_says_itself_stays(client: FlaskClient) -> None:
    page = client.get("/").headers
    assert "script-src 'self'" in page["Content-Security-Policy"]
    assert client.get("/health").headers["Content-Security-Policy"] == POLICY
    assert len(page.getlist("X-Content-Type-Options")) == len(page.getlist("Content-Security-Policy")) == 1


def test_sound_may_be_played_where_a_browser_opens_it(client: FlaskClient) -> None:
    from flask import Response

    client.application.add_url_rule("/sound", view_func=lambda: Response(b"RIFF", mimetype="audio/wav"), endpoint="s")
    said = client.get("/sound").headers
    assert "Content-Security-Policy" not in said
    assert said["X-Content-Type-Options"] == "nosniff"
