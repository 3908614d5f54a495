"""The Procfile and how its commands are run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from config import settings, supervisor
from config.child import StartFailed
from config.settings import Settings


@pytest.fixture
def configured_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """The settings of an installation in a folder of its own."""
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    return settings.load()


def test_a_procfile_is_read_in_its_order_without_its_comments(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("# all of it\nweb: gunicorn app:create_app()\n\nworker_io:python -m x: y\n")
    commands = supervisor.read_procfile(tmp_path / "Procfile")
    assert list(commands.items()) == [("web", "gunicorn app:create_app()"), ("worker_io", "python -m x: y")]


@pytest.mark.parametrize("text", ["web gunicorn", "web:", "web: a\nweb: b"])
def test_a_procfile_that_cannot_be_understood_names_its_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "Procfile").write_text(text)
    with pytest.raises(StartFailed, match=f"Procfile, line {len(text.splitlines())}: "):
        supervisor.read_procfile(tmp_path / "Procfile")


def test_a_program_is_left_out_where_what_it_needs_is_not_installed(
    configured_here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    procfile = Path(__file__).parents[2] / "Procfile"

    def started(**only: list[str]) -> set[str]:
        stages = supervisor.Supervisor(configured_here, procfile, **only)._programs({}, joins=False)
        return {child.name for stage in stages for child in stage}

    monkeypatch.delenv("WORKER_TRAINER", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert started() == set(supervisor.read_procfile(procfile)) - {"worker_train"}
    # Asked for by name it is started, and says itself what is missing.
    assert "worker_train" in started(only=["worker_train"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "torch" else None)
    assert started() == set(supervisor.read_procfile(procfile))


def test_commands_run_without_a_shell_in_our_own_environment() -> None:
    beside = Path(sys.executable).parent
    assert supervisor.command("python -c 'print($HOME)'") == [sys.executable, "-c", "print($HOME)"]
    assert supervisor.command("pytest app:create_app()") == [str(beside / "pytest"), "app:create_app()"]
    assert supervisor.command("sleep 1") == ["sleep", "1"]
