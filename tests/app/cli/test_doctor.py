"""``doctor``: what it finds, and what it says mends it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import text

from app.cli import check_machine, check_services
from app.cli.output import Finding
from config import settings
from config.settings import Settings
from models.base import utc_now
from models.db import Database
from tests import making
from tests.app.cli.conftest import Run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a place where nothing runs."""
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    monkeypatch.setenv("PORTS", "1")
    return settings.load()


def found(findings: Any, about: str) -> Finding:
    (finding,) = [finding for finding in findings if finding.about == about]
    assert isinstance(finding, Finding)
    return finding


def test_where_nothing_runs_it_says_what_starts_it(run: Run, here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_machine, "probing", lambda: _Probed([]))
    shown = run("doctor")
    assert shown.status == 1
    assert "Voiceworks is not running here" in shown.out
    assert "→ `make run` starts it" in shown.out
    assert shown.out.count("fail") == 1
    told = run("doctor", "--json").json
    assert told["healthy"] is False
    assert [finding["about"] for finding in told["findings"] if finding["status"] == "fail"] == ["services"]


def test_settings_that_cannot_be_used_are_findings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTS", "99999")
    shown = run("doctor")
    assert shown.status == 1
    assert "fail  settings" in shown.out
    assert "PORTS: " in shown.out


def test_a_healthy_service_has_nothing_that_fails(
    configured: Settings, web: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = dataclasses.replace(configured, ports=(web.port,), flower_port=web.port, mcp_port=web.port)
    findings = list(check_services.services(running))
    assert [finding for finding in findings if finding.status != "ok"] == []
    lanes = [finding.about for finding in findings if finding.about.startswith("lane ")]
    assert lanes == sorted(lanes)
    assert {finding.about for finding in findings} >= {
        *("database", "migrations", "clock", "queue", "streams", f"web, port {web.port}", "Flower"),
        f"MCP, port {web.port}",
        *("lane tts.live.neural", "lane tts.background.neural", "lane io", "lane upkeep"),
    }


@pytest.mark.parametrize(("long_ago", "status"), [(True, "fail"), (False, "warn")])
def test_a_lane_without_workers_fails_and_names_the_log_once_all_had_time_to_start(
    configured: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, long_ago: bool, status: str
) -> None:
    monkeypatch.setattr(check_services, "_STARTING_SECONDS", 0.0)
    if long_ago:
        monkeypatch.setattr(check_services, "_STARTS_LATE", timedelta(0))
    monkeypatch.setattr(check_services, "_lanes", lambda: ["tts.live.nobody", "upkeeping"])
    making.register(database, "one@here", "upkeeping", device="gpu0")
    try:
        findings = list(check_services.services(configured))
    finally:
        with database.transaction() as session:
            session.execute(text("delete from workers where node = 'one@here'"))
    lost = found(findings, "lane tts.live.nobody")
    mend = f"{configured.var_dir}/log/fleet.log says why, where it was started" if long_ago else "wait a moment"
    assert (lost.status, lost.mend) == (status, mend)
    assert found(findings, "lane upkeeping") == Finding("ok", "lane upkeeping", "1 worker: 1 on gpu0")


def test_a_web_process_and_others_that_are_away_are_told(configured: Settings) -> None:
    away = dataclasses.replace(configured, ports=(1,), flower_port=1, mcp_port=2)
    findings = list(check_services.services(away))
    assert found(findings, "web, port 1").status == "fail"
    assert found(findings, "Flower").status == found(findings, "MCP, port 2").status == "warn"
    assert found(findings, "MCP, port 2").mend == f"{configured.var_dir}/log/mcp.log says why, where it was started"


def test_an_older_database_is_mended_by_migrate(configured: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.migrations.head", lambda: "9999")
    finding = found(check_services.services(configured), "migrations")
    assert (finding.status, finding.mend) == ("fail", "`python -m app migrate`")
    assert "this version needs 9999" in finding.text


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("appendonly", "no", "keeps no log"), ("maxmemory-policy", "allkeys-lru", "may drop messages")],
)
def test_a_queue_that_may_lose_messages_is_warned_of(
    option: str, value: str, words: str, configured: Settings, queue: redis.Redis
) -> None:
    before = queue.config_get(option)[option]
    queue.config_set(option, value)
    try:
        finding = found(check_services.services(configured), "queue")
    finally:
        queue.config_set(option, before)
    assert finding.status == "warn"
    assert words in finding.text


def test_one_server_for_queue_and_streams_is_warned_of(configured: Settings) -> None:
    shared = dataclasses.replace(configured, stream_redis_url=configured.redis_url)
    assert found(check_services.services(shared), "streams").status == "warn"


@pytest.mark.parametrize("what", ["database", "queue", "streams"])
def test_a_server_that_is_away_is_named_without_its_password(what: str, configured: Settings) -> None:
    away = {
        "database": {"embedded_postgres": False, "database_url": "postgresql+psycopg://me:secret@127.0.0.1:1/x"},
        "queue": {"embedded_redis": False, "redis_url": "redis://:secret@127.0.0.1:1/0"},
        "streams": {"stream_redis_url": "redis://:secret@127.0.0.1:1/0"},
    }
    finding = found(check_services.services(dataclasses.replace(configured, **away[what])), what)  # type: ignore[arg-type]
    assert (finding.status, finding.text) == ("fail", "does not answer at 127.0.0.1:1")


@pytest.mark.parametrize(("apart", "status"), [(0.0, "ok"), (3.0, "warn"), (-30.0, "fail")])
def test_clocks_that_differ_are_told(
    apart: float, status: str, configured: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_services, "utc_now", lambda: utc_now() + timedelta(seconds=apart))
    assert found(check_services.services(configured), "clock").status == status


def test_open_surfaces_are_warned_of_with_who_may_come_in(here: Settings) -> None:
    (closed,) = check_services.openness(here)
    assert closed.status == "ok"
    (ours,) = check_services.openness(dataclasses.replace(here, open_surfaces=frozenset({"gateway", "wakewords"})))
    assert (ours.status, ours.text) == ("warn", "gateway, wakewords: no credential is asked of this machine")
    wide = dataclasses.replace(here, open_surfaces=frozenset({"gateway"}), host="0.0.0.0")
    assert [finding.text for finding in check_services.openness(wide)] == [
        "gateway: no credential is asked of whoever reaches 0.0.0.0"
    ]


@pytest.mark.parametrize(("mode", "status"), [(0o600, "ok"), (0o400, "ok"), (0o644, "fail"), (0o640, "fail")])
def test_a_key_that_others_may_read_fails(mode: int, status: str, here: Settings) -> None:
    assert check_machine.secret_key(here).text == "made at the first start"
    path = here.var_dir / "secret.key"
    path.write_text("a" * 64)
    path.chmod(mode)
    finding = check_machine.secret_key(here)
    assert finding.status == status
    assert finding.mend == ("" if status == "ok" else f"chmod 600 {path}")


def test_a_key_that_is_empty_or_short_is_told(here: Settings) -> None:
    path = here.var_dir / "secret.key"
    path.touch(0o600)
    assert check_machine.secret_key(here).status == "fail"
    for key, status in (("short", "warn"), ("long" * 16, "ok")):
        assert check_machine.secret_key(dataclasses.replace(here, configured_secret_key=key)).status == status


@pytest.mark.parametrize(("gibibytes", "status"), [(0.1, "fail"), (1.5, "warn"), (50, "ok")])
def test_a_disk_that_fills_up_is_told(
    gibibytes: float, status: str, here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = int(gibibytes * 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100 * 2**30, 0, free))  # type: ignore[attr-defined]
    assert found(check_machine.data_folder(here), "disk").status == status


def test_a_folder_that_cannot_be_written_fails(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (finding,) = check_machine.data_folder(dataclasses.replace(here, var_dir=here.var_dir / "not" / "there"))
    assert (finding.status, finding.text) == ("fail", f"{here.var_dir} cannot be written")


def test_the_engines_of_this_machine_load_in_a_process_of_their_own() -> None:
    # Another test of this run may have loaded them here.
    before = set(sys.modules)
    with check_machine.probing() as engines:
        findings = engines()
    assert found(findings, "engine hibari").status == "ok"
    assert "core" in found(findings, "devices").text
    assert not {"hibari", "onnxruntime", "workers.tts.hibari"} & (sys.modules.keys() - before)


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("import sys; sys.exit('no such engine')", "the probe failed (1): no such engine"),
        ("import os; os.abort()", "the probe failed (-6): it said nothing"),
        ("import time; time.sleep(60)", "loading them took more than 1 s"),
    ],
)
def test_a_probe_that_dies_or_hangs_is_a_finding(
    program: str, text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "probe.py").write_text(program)
    monkeypatch.setattr(check_machine, "_ROOT", tmp_path)
    monkeypatch.setattr(check_machine, "_PROBE_SECONDS", 1.0)
    with check_machine.probing() as engines:
        (finding,) = engines()
    assert (finding.status, finding.text) == ("fail", text)


def test_an_engine_that_does_not_load_fails_only_if_it_must_be_there() -> None:
    missing = {"available": False, "installed": False, "reason": "No module named 'x'"}
    broken = {"available": False, "installed": True, "reason": "its data cannot be read"}
    assert check_machine._engine("hibari", missing).status == "fail"
    assert check_machine._engine("piper", broken).status == "warn"
    note = check_machine._engine("piper", missing)
    assert (note.status, note.text) == ("ok", "not installed (optional): it needs `make voices`")


def test_lanes_of_parts_that_need_not_be_there_are_not_asked_for() -> None:
    assert check_services._lanes() == ["tts.live.neural", "tts.background.neural", "io", "listen", "imports", "upkeep"]


class _Probed:
    """A probe that has told already."""

    def __init__(self, findings: list[Finding]) -> None:
        self._findings = findings

    def __enter__(self) -> Any:
        return lambda: self._findings

    def __exit__(self, *_: object) -> None:
        return None
