"""The pages that show the API's description, as a browser sees them, and a client that is made from it."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conftest import API_KEY, PASSWORD, eventually
from tests.pages import Loaded
from tests.web import Web

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
PAGES = ("/docs", "/redoc")
in_a_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium here")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_no_credential_and_loads_only_what_is_served_here(lasting_client: FlaskClient, path: str) -> None:
    answer = lasting_client.get(path)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    loaded = Loaded(answer.text)
    assert loaded.inline == []
    assert len(loaded.assets) >= 3
    for asset in loaded.assets:
        assert re.match(r"/(static|docs)/", asset), asset
        found = lasting_client.get(asset)
        assert (found.status_code, len(found.data) > 100) == (200, True), asset
        assert found.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_runs_no_script_but_its_files(lasting_client: FlaskClient, path: str) -> None:
    header = lasting_client.get(path).headers["Content-Security-Policy"]
    policy = {name: set(sources) for name, *sources in (part.split() for part in header.split(";"))}
    assert policy["default-src"] == {"'none'"}
    assert policy["script-src"] == policy["connect-src"] == {"'self'"}
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == {"'none'"}
    assert not any(":" in source and source not in ("data:", "blob:") for each in policy.values() for source in each)


def test_what_never_changes_is_kept_by_browsers(lasting_client: FlaskClient) -> None:
    for path in PAGES:
        for asset in Loaded(lasting_client.get(path).text).assets:
            if asset.startswith("/docs/"):
                assert "immutable" in lasting_client.get(asset).headers["Cache-Control"], asset


@pytest.mark.parametrize("name", ["index.css", "swagger-ui.js", "..%2f..%2f__init__.py", "LICENSE"])
def test_nothing_else_of_the_packages_is_served(lasting_client: FlaskClient, name: str) -> None:
    (bundle,) = [each for each in Loaded(lasting_client.get("/docs").text).assets if each.endswith("bundle.js")]
    assert lasting_client.get(bundle).status_code == 200
    assert lasting_client.get(f"{bundle.rpartition('/')[0]}/{name}").status_code == 404
    assert lasting_client.get(f"/docs/another-release/{bundle.rpartition('/')[2]}").status_code == 404


def test_the_description_is_not_sent_again_to_who_has_it(lasting_client: FlaskClient) -> None:
    etag = lasting_client.get("/openapi.json").headers["ETag"]
    again = lasting_client.get("/openapi.json", headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")


def test_the_application_runs_nothing_of_the_packages_whose_files_it_serves() -> None:
    code = (
        "import sys, app; made = app.create_app(); made.test_client().get('/docs'); made.test_client().get('/redoc'); "
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    loaded = set(re.findall(r"'(\w+)'", ran.stdout))
    assert {"flask", "flask_smorest"} <= loaded
    assert not loaded & {"pydantic", "flask_openapi3", "flask_openapi3_redoc", "flask_swagger_ui"}


# --- In a browser -------------------------------------------------------------------------------------------------


class Seen:
    """What a page asked for, and what it complained about."""

    def __init__(self, page: Any, own: str) -> None:
        self.elsewhere: list[str] = []
        self.faults: list[str] = []
        page.on("request", lambda sent: self._note(sent.url, own))
        page.on("pageerror", lambda fault: self.faults.append(str(fault)))
        page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)

    def _note(self, url: str, own: str) -> None:
        if not url.startswith((own, "data:", "blob:")):
            self.elsewhere.append(url)


@contextmanager
def opened(web: Web, path: str) -> Iterator[tuple[Any, Seen]]:
    """A page in a browser, with what it does."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=list(QUIET))
        page = browser.new_page(viewport={"width": 1300, "height": 1000})
        seen = Seen(page, web.url("/"))
        page.goto(web.url(path))
        yield page, seen
        browser.close()


def operations(web: Web) -> list[dict[str, Any]]:
    """Every operation of the description."""
    paths = web.get("/openapi.json").json()["paths"]
    return [each for item in paths.values() for method, each in item.items() if method != "parameters"]


def passed_by(page: Any, until: str = "") -> set[str]:
    """The operations that come by from top to bottom, or down to that one: of a long list only a part is there."""
    page.wait_for_selector(".opblock", timeout=30_000)
    page.evaluate("window.scrollTo(0, 0)")
    seen: set[str] = set()
    end = False
    while not end and until not in seen:
        page.wait_for_timeout(60)
        seen |= set(page.eval_on_selector_all(".opblock", "found => found.map(each => each.id)"))
        end = page.evaluate("window.scrollY + window.innerHeight >= document.documentElement.scrollHeight - 2")
        page.evaluate("window.scrollBy(0, 500)")
    return seen


@in_a_browser
def test_swagger_ui_shows_every_operation_and_asks_nobody_else(web: Web, clean: None, picture: Callable) -> None:
    described = operations(web)
    with opened(web, "/docs") as (page, seen):
        assert len(passed_by(page)) == len(described)
        picture(page, "swagger")
        # Opened, one shows its parameters and its answers.
        passed_by(page, "operations-curriculum-curriculum_list_curricula")
        page.locator("#operations-curriculum-curriculum_list_curricula .opblock-summary-control").click()
        page.wait_for_selector("#operations-curriculum-curriculum_list_curricula .responses-table")
        picture(page, "swagger-operation")
    assert seen.elsewhere == []
    assert seen.faults == []


@in_a_browser
@pytest.mark.parametrize("scheme", ["bearer", pytest.param("apiKey", marks=pytest.mark.slow)])
def test_swagger_ui_sends_the_credential_that_it_was_given(
    web: Web, clean: None, scheme: str, picture: Callable
) -> None:
    login = web.post("/api/auth/login", json={"username": "client", "password": PASSWORD}).json()
    value = login["access_token"] if scheme == "bearer" else API_KEY
    with opened(web, "/docs") as (page, seen):
        page.locator(".btn.authorize").first.click()
        # In the order of the description.
        form = page.locator(".auth-container").nth(["bearer", "apiKey"].index(scheme))
        form.locator("input").fill(value)
        form.locator("button.authorize").click()
        picture(page, f"authorize-{scheme}")
        page.locator(".close-modal").click()
        passed_by(page, "operations-health-health_stats")
        page.locator("#operations-health-health_stats .opblock-summary-control").click()
        page.locator("#operations-health-health_stats button.execute").click()
        shown = page.locator("#operations-health-health_stats .live-responses-table .response-col_status")
        eventually(lambda: "200" in " ".join(shown.all_inner_texts()))
        answer = page.locator("#operations-health-health_stats .live-responses-table").inner_text()
    assert "clients_connected" in answer
    assert seen.elsewhere == []
    assert seen.faults == []


@in_a_browser
def test_redoc_shows_every_operation_and_asks_nobody_else(web: Web, clean: None, picture: Callable) -> None:
    described = operations(web)
    with opened(web, "/redoc") as (page, seen):
        page.wait_for_selector("[data-section-id^='operation/']", timeout=30_000)
        eventually(lambda: page.locator("[data-section-id^='operation/']").count() == len(described), within_seconds=30)
        # Searching runs in a worker.
        page.locator(".search-input").fill("curriculum")
        eventually(lambda: page.locator("[data-role='search:results'] li").count() > 0)
        picture(page, "redoc")
    assert seen.elsewhere == []
    assert seen.faults == []


# --- A client that is made from it --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a package that was generated from the description, ready to be imported."""
    folder = tmp_path_factory.mktemp("generated")
    description = web.get("/openapi.json").text
    (folder / "openapi.json").write_text(description)
    # Of the types of files the generator knows one only.
    files_of = set(re.findall(r'"((?:audio|image|text|application)/[a-z0-9.+-]+)"', description))
    overrides = dict.fromkeys(sorted(files_of - {"application/json"}), "application/octet-stream")
    (folder / "config.json").write_text(json.dumps({"post_hooks": [], "content_type_overrides": overrides}))
    generator = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning"]
    files = ["--path", "openapi.json", "--config", "config.json", "--output-path", "voiceworks_generated"]
    ran = subprocess.run(generator + files, cwd=folder, capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    sys.path.insert(0, str(folder))
    yield "voiceworks_generated"
    sys.path.remove(str(folder))


def test_a_client_made_from_the_description_speaks_with_the_server(
    made: str, web: Web, clean: None, worker: object
) -> None:
    client = importlib.import_module(f"{made}.client")
    models = importlib.import_module(f"{made}.models")

    def call(operation: str, by: Any, **kwargs: Any) -> Any:
        """The answer of an operation, named as its module, to whoever asks."""
        answer = importlib.import_module(f"{made}.api.{operation}").sync_detailed(client=by, **kwargs)
        return answer.parsed

    stranger = client.Client(base_url=web.url(""))
    assert call("health.health_health", stranger).status == "healthy"
    refused = call("curriculum.curriculum_list_curricula", stranger)
    assert (type(refused), refused.code) == (models.ManagementError, "UNAUTHORIZED")
    wrong = call("openai.openai_models", stranger)
    assert (type(wrong), wrong.error.code) == (models.OpenAIError, "invalid_api_key")

    tokens = call("auth.auth_login", stranger, body=models.Login(username="client", password=PASSWORD))
    user = client.AuthenticatedClient(base_url=web.url(""), token=tokens.access_token)
    key = client.AuthenticatedClient(base_url=web.url(""), token=API_KEY, auth_header_name="X-API-Key", prefix="")
    assert call("auth.auth_me", user).username == "client"
    assert call("auth.auth_me", key).username == "admin"

    content = [{"title": "One", "segments": ["Good morning."]}]
    course = call(
        "curriculum.curriculum_create_curriculum", user, body=models.NewCurriculum("A course", content=content)
    )
    assert (type(course), course.content[0].segments[0].text) == (models.CurriculumShown, "Good morning.")
    page = call("curriculum.curriculum_list_curricula", user, limit=5)
    assert (page.total, page.limit, [each.id for each in page.curricula]) == (1, 5, [course.id])
    assert call("health.health_stats", user).clients_connected >= 0

    look = {"text": "Good morning.", "voice_id": "nova"}
    missed = call("speech.speech_look_up", user, **look)
    assert (missed.cache_hit, missed.duration_seconds) == (False, None)
    spoken = call("speech.speech_generate", user, body=models.Speak(**look))
    assert spoken.payload.read(4) == b"RIFF"
    assert call("speech.speech_look_up", user, **look).duration_seconds > 0.3

    known = call("openai.openai_models", user)
    assert "tts-1" in {each.id for each in known.data}
    body = models.Speech(
        model="tts-1", input_="Good morning.", voice="nova", response_format=models.SpeechResponseFormat.WAV
    )
    assert call("openai.openai_speech", user, body=body).payload.read(4) == b"RIFF"


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[Any, str], None]:
    """Takes a picture of a page, for who looks at why a test failed."""
    return lambda page, name: page.screenshot(path=tmp_path / f"{name}.png")
