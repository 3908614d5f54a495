"""The Procfile and how its commands are run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from config import supervisor
from config.child import StartFailed


def test_a_procfile_is_read_in_its_order_without_its_comments(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("# all of it\nweb: gunicorn app:create_app()\n\nworker_io:python -m x: y\n")
    commands = supervisor.read_procfile(tmp_path / "Procfile")
    assert list(commands.items()) == [("web", "gunicorn app:create_app()"), ("worker_io", "python -m x: y")]


@pytest.mark.parametrize("text", ["web gunicorn", "web:", "web: a\nweb: b"])
def test_a_procfile_that_cannot_be_understood_names_its_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "Procfile").write_text(text)
    with pytest.raises(StartFailed, match=f"Procfile, line {len(text.splitlines())}: "):
        supervisor.read_procfile(tmp_path / "Procfile")


def test_commands_run_without_a_shell_in_our_own_environment() -> None:
    beside = Path(sys.executable).parent
    assert supervisor.command("python -c 'print($HOME)'") == [sys.executable, "-c", "print($HOME)"]
    assert supervisor.command("pytest app:create_app()") == [str(beside / "pytest"), "app:create_app()"]
    assert supervisor.command("sleep 1") == ["sleep", "1"]
