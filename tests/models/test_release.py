"""What is done before anything else starts, and what is said of a database that it cannot be done to."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from sqlalchemy import make_url

from config.settings import Settings
from models import release

ROOT = Path(__file__).parents[2]
AWAY = "The database does not answer at 127.0.0.1:1; start it, or correct DATABASE_URL.\n"


def told(*, url: str) -> dict[str, str]:
    return os.environ | {"DATABASE_URL": url, "REDIS_URL": "redis://127.0.0.1:1/0"}


def test_a_database_that_is_away_is_told_in_one_sentence_without_its_password(tmp_path: Path) -> None:
    environment = told(url="postgresql://me:secret@127.0.0.1:1/x") | {"VAR_DIR": str(tmp_path)}
    argv = [sys.executable, "-m", "models.release"]
    ended = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", AWAY)


def test_a_database_that_refuses_us_is_told_with_its_reason(
    configured: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = make_url(configured.database_url).set(drivername="postgresql", database="nowhere")
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    assert release.main() == 1
    assert capsys.readouterr().err == 'The database refused us: database "nowhere" does not exist.\n'


def test_a_database_that_comes_late_is_waited_for(
    configured: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = make_url(configured.database_url)
    # Not pytest's own folder: the path of a socket must be short.
    with tempfile.TemporaryDirectory() as folder:
        sockets = Path(folder) / "s"
        late = url.set(drivername="postgresql").update_query_dict({"host": str(sockets)})
        monkeypatch.setenv("DATABASE_URL", late.render_as_string(hide_password=False))
        pauses: list[float] = []

        def comes(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 2:
                sockets.symlink_to(str(url.query["host"]))

        monkeypatch.setattr(time, "sleep", comes)
        assert release.main(wait=True) == 0
    assert len(pauses) == 2
    said = f"The database does not answer at {sockets}; start it, or correct DATABASE_URL.\n"
    assert capsys.readouterr().err == said
