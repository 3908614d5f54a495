"""The page for people: what it loads, and under which policy."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from config.settings import Settings
from tests.pages import Loaded


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
    page = Loaded(answer.text)
    assert page.inline == []
    assert len(page.code) == 2
    for asset in page.code:
        assert asset.startswith("/static/")


def test_everything_the_page_loads_is_there(lasting_client: FlaskClient) -> None:
    for asset in Loaded(lasting_client.get("/").text).code:
        answer = lasting_client.get(asset)
        assert answer.status_code == 200
        assert answer.mimetype == ("text/css" if asset.endswith(".css") else "text/javascript")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Content-Security-Policy" in answer.headers
        # Asked again, it is not sent again.
        again = lasting_client.get(asset, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    ("host", "leads_to"),
    [
        ("voice.example:8766", "http://voice.example:5555/"),
        ("127.0.0.1", "http://127.0.0.1:5555/"),
        ("[::1]:8766", "http://[::1]:5555/"),
    ],
)
def test_the_page_leads_to_flower_on_the_host_it_came_from(
    lasting_client: FlaskClient, configured: Settings, host: str, leads_to: str
) -> None:
    assert '<a id="link-flower" href="/flower"' in lasting_client.get("/").text
    answer = lasting_client.get("/flower", headers={"Host": host})
    assert answer.status_code == 302
    assert answer.headers["Location"] == leads_to.replace("5555", str(configured.flower_port))
    assert answer.headers["Cache-Control"] == "no-store"


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
