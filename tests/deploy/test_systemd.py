"""The systemd units: one for each process of the Procfile, with its command, and understood by systemd."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from config import supervisor
from config.settings import variables

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
COMMON = UNITS / "voiceworks-.service.d" / "common.conf"
PROCFILE = supervisor.read_procfile(ROOT / "Procfile")
HOME, PROGRAMS = "/opt/voiceworks", "/opt/voiceworks/.venv/bin/"
ENVIRONMENT = "/etc/voiceworks/voiceworks.env"


def options(path: Path) -> dict[str, list[str]]:
    """What a unit says, by option."""
    said = defaultdict(list)
    for line in path.read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            said[name].append(value)
    return said


def unit(program: str) -> Path:
    """The unit of a program of the Procfile."""
    return UNITS / f"voiceworks-{program.replace('_', '-')}.service"


@pytest.mark.parametrize("program", PROCFILE)
def test_each_program_of_the_procfile_has_a_unit_with_its_command(program: str) -> None:
    (command,) = options(unit(program))["ExecStart"]
    # A supervisor brings the database itself; here it may come later than we do.
    waits = " --wait" if program == "release" else ""
    # To systemd a percent sign is a word of its own.
    assert command.replace("%%", "%") == PROGRAMS + PROCFILE[program] + waits
    assert "%" not in command.replace("%%", "")


def test_every_unit_is_of_a_program_and_started_with_the_others() -> None:
    programs = {unit(program).name for program in PROCFILE}
    assert {path.name for path in UNITS.glob("voiceworks-*.service")} == programs
    for program in PROCFILE.keys() - {"release"}:
        said = options(unit(program))
        assert said["Requires"] == said["After"] == [unit("release").name], program
        assert said["Restart"] == ["always"]
        # What is enabled on a machine comes with the target, at every boot.
        assert (said["PartOf"], said["WantedBy"]) == (["voiceworks.target"], ["voiceworks.target"])


def test_a_database_that_comes_late_is_waited_for() -> None:
    said = options(unit("release"))
    assert said["TimeoutStartSec"] == ["infinity"]
    assert (said["Restart"], said["RestartPreventExitStatus"]) == (["on-failure"], ["2"])
    assert options(COMMON)["StartLimitIntervalSec"] == ["0"]


@pytest.mark.parametrize("program", sorted(PROCFILE.keys() - {"release", "beat", "flower"}))
def test_a_unit_may_take_longer_to_stop_than_its_program_needs_to_drain(program: str) -> None:
    (seconds,) = options(unit(program))["TimeoutStopSec"]
    assert float(seconds) > supervisor._GRACE_SECONDS.get(program, supervisor._OTHER_GRACE_SECONDS)


def test_what_all_units_have_in_common_overrides_no_words_of_their_own() -> None:
    common = options(COMMON).keys()
    for path in UNITS.glob("voiceworks-*.service"):
        # systemd reads the common part last: what it says wins.
        assert not common & options(path).keys(), path.name


def test_the_example_of_an_environment_names_only_settings() -> None:
    known = {name for name, _ in variables()}
    said = options(ROOT / "deploy" / "voiceworks.env.example").keys()
    assert said <= known, said - known
    assert {"SECRET_KEY", "DATABASE_URL", "REDIS_URL", "STREAM_REDIS_URL"} <= said


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here to ask")
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    # It looks whether programs and files are there.
    places = {PROGRAMS: f"{Path(sys.executable).parent}/", HOME: str(ROOT), ENVIRONMENT: "/dev/null"}
    shutil.copytree(UNITS, tmp_path, dirs_exist_ok=True)
    for path in [*tmp_path.glob("*.*"), *tmp_path.glob("*.d/*")]:
        if path.is_file():
            text = path.read_text()
            for installed, here in places.items():
                text = text.replace(installed, here)
            path.write_text(text)
    units = [path.name for path in tmp_path.glob("voiceworks*") if path.is_file()]
    asked = subprocess.run(
        ["systemd-analyze", "verify", *units],
        # Ours, then those of the system.
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    # What it cannot read it passes over, with a line about it and status 0.
    about_us = [line for line in asked.stderr.splitlines() if "voiceworks" in line]
    assert (asked.returncode, about_us) == (0, []), asked.stderr
