"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.routing import Rule

from app import create_app
from app.sockets import feeds
from config.settings import Settings

ROOT = Path(__file__).parents[1]
FOLDERS = ("app", "tasks", "workers", "models", "config")
MAX_LINES = 500

# --- The web process knows no engine ---------------------------------------------------------------------------------

ENGINES = [
    *("torch", "torchaudio", "onnxruntime", "onnx", "hibari", "piper", "espeakng_loader", "librosa", "soundfile"),
    *("transformers", "peft", "trl", "faster_whisper", "scipy", "soxr", "av"),
    # Ours that load them.
    *("workers.tts.hibari", "workers.resident", "workers.audio.codec", "tasks.run", "tasks.speech", "tasks.worker"),
]

# A finder before all others is asked for every module once, whether it is installed or not.
WATCHED = """
import json, sys

class Watch:
    def __init__(self):
        self.asked = []
    def find_spec(self, name, path=None, target=None):
        self.asked.append(name)
        return None

watch = Watch()
sys.meta_path.insert(0, watch)
%s
print(json.dumps(sorted(set(watch.asked))))
"""


def imported_by(statements: str) -> set[str]:
    """What a fresh interpreter tries to import for these statements."""
    ran = subprocess.run(
        [sys.executable, "-c", WATCHED % statements], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout.splitlines()[-1]))


def engines_among(imported: Iterable[str]) -> set[str]:
    return {name for name in imported if any(name == engine or name.startswith(f"{engine}.") for engine in ENGINES)}


@pytest.mark.parametrize("statements", ["import app", "import app\napp.create_app()", "import app.cli"])
def test_a_web_process_loads_no_engine(configured: Settings, statements: str) -> None:
    imported = imported_by(statements)
    assert "app" in imported
    assert engines_among(imported) == set()


def test_the_test_would_see_an_engine() -> None:
    seen = engines_among(imported_by("import tasks.speech, workers.tts.hibari"))
    assert {"onnxruntime", "hibari", "soundfile", "tasks.run", "workers.resident"} <= seen


# --- Every route says who may use it ---------------------------------------------------------------------------------


def undeclared(app: Flask) -> set[str]:
    """The paths whose view declares no access."""

    def declares(rule: Rule) -> bool:
        view = app.view_functions[rule.endpoint]
        return getattr(view, "declares_access", False) is True or rule.rule in feeds.declared

    return {rule.rule for rule in app.url_map.iter_rules() if not declares(rule)}


@pytest.fixture
def application(configured: Settings) -> Iterator[Flask]:
    app = create_app(configured)
    yield app
    app.extensions["voiceworks"].database.dispose()


def test_every_route_declares_its_access(application: Flask) -> None:
    assert undeclared(application) == set()


def test_a_route_that_declares_none_would_be_seen(application: Flask) -> None:
    application.add_url_rule("/hole", view_func=lambda: "come in", endpoint="hole")
    assert "/hole" in undeclared(application)


def test_every_socket_that_is_declared_is_there(application: Flask) -> None:
    assert feeds.declared
    assert set(feeds.declared) <= {rule.rule for rule in application.url_map.iter_rules()}


# A new public route is named here, so that somebody thinks about it.
PUBLIC = {"/", "/wakewords", "/transcribe", "/static/<path:name>", "/api/auth/login", "/api/auth/refresh"}
PUBLIC |= {"/flower", "/openapi.json", "/docs", "/docs/<release>/<name>", "/redoc"}
# It takes a secret that is nobody's credential.
PUBLIC |= {"/api/transcription/label-studio/webhook"}


def test_nothing_is_public_by_accident(application: Flask) -> None:
    views = application.view_functions
    public = {
        rule.rule
        for rule in application.url_map.iter_rules()
        if getattr(views[rule.endpoint], "declares_access", False) and views[rule.endpoint].access is None  # type: ignore[attr-defined]
    }
    assert {path for path in public if not path.startswith("/health")} <= PUBLIC


# --- Source ----------------------------------------------------------------------------------------------------------


def sources() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def test_there_are_sources() -> None:
    assert len(sources()) > 60


def test_no_file_is_too_long_to_be_read() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}
    assert {path: count for path, count in lines.items() if count > MAX_LINES} == {}


# The two places that turn an unknown exception into an answer.
BROAD = {"tasks/run.py", "app/http/errors.py"}


def broad_handlers(source: str) -> list[int]:
    """The lines where everything is caught and not raised again."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ExceptHandler) and _catches_all(node.type) and not _raises_again(node)
    ]


def _catches_all(caught: ast.expr | None) -> bool:
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(name is None or getattr(name, "id", "") in ("Exception", "BaseException") for name in names)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_everything_is_caught_in_two_places_only() -> None:
    found = {str(path.relative_to(ROOT)) for path in sources() if broad_handlers(path.read_text())}
    # In the web it is Flask that catches, and calls the handler registered for Exception.
    found |= {
        str(path.relative_to(ROOT)) for path in sources() if "register_error_handler(Exception," in path.read_text()
    }
    assert found == BROAD


@pytest.mark.parametrize(
    "handler", ["except:", "except Exception:", "except BaseException as x:", "except (OSError, Exception):"]
)
def test_a_broad_except_would_be_seen(handler: str) -> None:
    assert broad_handlers(f"try:\n    pass\n{handler}\n    pass") == [3]
    assert broad_handlers(f"try:\n    pass\n{handler}\n    clean()\n    raise") == []


def test_every_folder_says_what_it_is() -> None:
    for folder in FOLDERS:
        assert ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text())), folder
