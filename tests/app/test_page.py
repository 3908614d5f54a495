"""The pages for people: what they load, and under which policy."""

from __future__ import annotations

import re
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app import page as pages
from config.settings import Settings
from tests.pages import Loaded
from workers.wakeword.options import MODEL_TYPES, Options

STATIC = Path(pages.__file__).parent / "static"
PAGES = ("/", "/wakewords", "/transcribe")


def policy(header: str) -> dict[str, set[str]]:
    """A Content-Security-Policy by its directives."""
    parts = (part.split() for part in header.split(";"))
    return {name: set(sources) for name, *sources in parts}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_served_under_a_policy_that_it_keeps(lasting_client: FlaskClient, path: str) -> None:
    answer = lasting_client.get(path)
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
    assert len(page.code) >= 2
    for asset in page.code:
        assert asset.startswith("/static/")


def loaded(client: FlaskClient, path: str) -> set[str]:
    """The code and style that a page loads, what its modules import and begin included."""
    waiting, found = Loaded(client.get(path).text).code, set[str]()
    while waiting:
        asset = waiting.pop()
        found.add(asset)
        if asset.endswith(".js"):
            waiting |= set(re.findall(r'"(/static/[\w.]+)"', client.get(asset).text)) - found
    return found


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/", "/static/app.js"),
        ("/wakewords", "/static/capture.js"),
        ("/transcribe", "/static/transcribe_player.js"),
    ],
)
def test_everything_a_page_loads_is_there(lasting_client: FlaskClient, path: str, own: str) -> None:
    assets = loaded(lasting_client, path)
    assert {own, "/static/style.css", "/static/session.js"} <= assets
    for asset in assets:
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


@pytest.mark.parametrize("path", PAGES)
def test_each_page_leads_to_the_others(lasting_client: FlaskClient, path: str) -> None:
    text = lasting_client.get(path).text
    for other in PAGES:
        assert (f'<a href="{other}">' in text) != (other == path)
        assert (f'<a href="{other}" aria-current="page">' in text) == (other == path)


class Fields(HTMLParser):
    """The named fields of a page, each with its attributes; of a choice also the ``options``."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.named: dict[str, dict[str, str | None]] = {}
        self.choices: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("input", "select") and given.get("name"):
            self.named[str(given["name"])] = given
        if tag == "option" and given.get("value"):
            self.choices.append(str(given["value"]))


def test_the_form_offers_every_option_of_a_training_with_its_default_and_bounds() -> None:
    form = Fields((STATIC / "wakewords.html").read_text())
    for option in fields(Options):
        field = form.named[option.name]
        if isinstance(option.default, bool):
            assert (field["type"], "checked" in field) == ("checkbox", option.default), option.name
        else:
            shown = [float(field[name] or "nan") for name in ("value", "min", "max")]
            assert shown == [option.default, option.metadata["low"], option.metadata["high"]], option.name
    assert set(form.choices) >= set(MODEL_TYPES)


def test_no_page_puts_text_of_others_in_as_markup() -> None:
    scripts = list(STATIC.glob("*.js"))
    assert len(scripts) > 10
    for script in scripts:
        found = re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", script.read_text())
        assert found == [], script.name
