"""What holds for every command: help, exit statuses, and one sentence when something is wrong."""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli import parser, reach
from app.cli.output import Failed
from config import settings
from tests.app.cli.conftest import Run

ROOT = Path(__file__).parents[3]


def commands(found: argparse.ArgumentParser, *names: str) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every command with its words."""
    groups = [action for action in found._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield names, found
    for group in groups:
        for name, inner in group.choices.items():
            yield from commands(inner, *names, name)


COMMANDS = dict(commands(parser.build()))


def test_no_arguments_print_the_help(run: Run) -> None:
    shown = run()
    assert shown.status == 0
    assert "speak a text into a file" in shown.out


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_names_a_function_that_exists(words: tuple[str, ...]) -> None:
    module, _, function = COMMANDS[words].get_default("command").partition(":")
    assert callable(getattr(importlib.import_module(f"app.cli.{module}"), function))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_answers_to_help(words: tuple[str, ...], run: Run) -> None:
    shown = run(*words, "--help")
    assert (shown.status, shown.err) == (0, "")
    assert shown.out.startswith(f"usage: python -m app {' '.join(words)}")


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["jobs"], ["jobs", "show"], ["speak", "Hello."], ["jobs", "list", "--limit", "0"]]
)
def test_arguments_that_make_no_sense_exit_with_2(arguments: list[str], run: Run) -> None:
    shown = run(*arguments)
    assert (shown.status, shown.out) == (2, "")
    assert "error:" in shown.err


@pytest.mark.parametrize("words", [words for words in COMMANDS if COMMANDS[words].get_default("needs")], ids=" ".join)
def test_without_services_a_command_fails_at_once_and_says_what_starts_them(
    words: tuple[str, ...], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    operands = [action for action in COMMANDS[words]._actions if not action.option_strings]
    output = ["-o", str(tmp_path / "x.wav")] if words == ("speak",) else []
    began = time.monotonic()
    shown = run(*words, *(["x"] * len(operands)), *output)
    assert time.monotonic() - began < 1.0
    assert shown == type(shown)(1, "", f"Voiceworks is not running on {tmp_path}; `make run` starts it.\n")


def test_a_database_elsewhere_is_named_without_its_password(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/voiceworks")
    shown = run("jobs", "list")
    assert shown.status == 1
    assert shown.err == "The database does not answer at 127.0.0.1:1; start it, or correct DATABASE_URL.\n"


def test_settings_that_cannot_be_used_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTS", "99999")
    monkeypatch.setenv("REDIS_URL", "http://localhost")
    shown = run("jobs", "list")
    assert shown.status == 1
    assert [line.split(":")[0] for line in shown.err.splitlines()] == ["REDIS_URL", "PORTS"]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql+psycopg://me:secret@db.example:5433/voiceworks", "db.example:5433"),
        ("postgresql+psycopg://me:secret@db.example/voiceworks", "db.example"),
        ("postgresql+psycopg://postgres@/voiceworks?host=%2Frun%2Fpg&port=5432", "/run/pg"),
        ("redis://:secret@queue.example:6380/1", "queue.example:6380"),
        ("unix:///run/a%20b/queue.sock?db=0", "/run/a b/queue.sock"),
    ],
)
def test_the_place_of_a_server_is_shown_without_its_password(url: str, place: str) -> None:
    assert reach.place(url) == place


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VAR_DIR", str(tmp_path / "file"))
    with pytest.raises(Failed, match=r"file cannot be used: File exists\."):
        reach.build(settings.load())


def test_ctrl_c_ends_what_runs_until_then_with_0_and_all_else_with_130(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reach, "load", interrupted)
    assert [run(*words).status for words in (["serve"], ["jobs", "watch", "x"], ["jobs", "list"])] == [0, 0, 130]


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    shown = subprocess.run(
        f"{sys.executable} -m app --help | true; {sys.executable} -m app | true; echo ${{PIPESTATUS[0]}}",
        cwd=ROOT,
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
    )
    assert shown.stdout == "0\n"
    assert "Traceback" not in shown.stderr


def test_what_starts_the_servers_loads_neither_flask_nor_celery_nor_the_database() -> None:
    check = (
        "import sys, app.cli.serve; "
        "print(sorted({'flask', 'celery', 'sqlalchemy', 'redis', 'rich', 'numpy'} & sys.modules.keys()))"
    )
    shown = subprocess.run([sys.executable, "-c", check], cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert shown.stdout == "[]\n", shown.stderr
