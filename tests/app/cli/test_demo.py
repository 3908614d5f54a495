"""The sample course at a start: spoken once, gone on with after an interruption, and never in the way."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from rich.console import Console

from app.cli import demo, progress, reach
from app.context import Context
from config.settings import Settings
from models.db import Database
from models.jobs import queries

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture
def here(configured: Settings) -> Any:
    """An application of this test's own."""
    reach.build.cache_clear()
    with reach.inside(configured) as context:
        yield context


def jobs(database: Database) -> list[str]:
    with database.transaction() as session:
        return [job.id for job in queries.page(session, kind="speech.prefetch", limit=10)]


@pytest.mark.slow
def test_the_course_is_spoken_once(
    here: Context, worker: Any, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.speak_sample(here, Console())
    assert " segments spoken, " in capsys.readouterr().out
    demo.speak_sample(here, Console())
    assert capsys.readouterr().out.startswith('"Finding Longitude" is ready: ')
    assert len(jobs(database)) == 1


def test_an_interrupted_start_is_gone_on_with(
    here: Context, worker: Any, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[str] = []
    monkeypatch.setattr(progress, "show", lambda database, job_id, *_: (None, followed.append(job_id) or "."))
    monkeypatch.setattr("tasks.submit.ring", lambda doorbell, client: None)
    monkeypatch.setattr("models.workers.able", lambda session, lane: 1)
    demo.speak_sample(here, Console())
    demo.speak_sample(here, Console())
    assert followed == jobs(database) * 2
    assert len(jobs(database)) == 1


def test_without_a_worker_it_is_told_and_the_links_are_shown_all_the_same(
    configured: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "WORKER_SECONDS", 0.0)
    monkeypatch.setattr("models.workers.engines", lambda session: {})
    reach.build.cache_clear()
    demo.welcome(configured, sample=True)
    shown = capsys.readouterr().out
    assert "Not all is as it should be: No worker with engine hibari is running for voice nova." in shown
    assert f"  API     {demo.address(configured)}" in shown
    assert f"  Logs    {configured.var_dir / 'log'}" in shown


def test_open_surfaces_are_told_loudly(configured: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    demo.welcome(dataclasses.replace(configured, open_surfaces=frozenset({"gateway"})), sample=False)
    shown = capsys.readouterr().out
    assert "ANYBODY who reaches it may use: gateway" in shown
    assert f"  Listen  {demo.address(configured)}/\n" in shown


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(("terminal", "sample"), [(True, False), (False, True), (False, False)])
def test_a_link_that_signs_in_is_for_people_not_for_journals(
    configured: Settings,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
    sample: bool,
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.setattr(demo, "speak_sample", lambda here, console: None)
    demo.welcome(configured, sample=sample)
    shown = capsys.readouterr().out
    assert ("#token=" in shown) is (terminal or sample)
    assert demo.address(configured) in shown


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:1"), ("0.0.0.0", "http://127.0.0.1:1"), ("::", "http://[::1]:1")],
)
def test_addresses_are_those_that_work_on_this_machine(host: str, url: str, configured: Settings) -> None:
    assert demo.address(dataclasses.replace(configured, host=host, ports=(1, 2))) == url
