"""The page of all dependencies and their licences: nothing left out, nothing by default that binds others."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys

import pytest

from config import licences
from config.licences import PARTS, is_copyleft

# What the wheels of the default install may bundle of libraries under the GPL: PyAV's encoders, which the page tells.
BUNDLED = {"av": {"libx264", "libx265"}}
_GPL_LIBRARIES = re.compile(
    r"(lib(?:x26[45]|xvid|postproc|readline|fftw3|gsl|espeak|a52|dvdread|cdio|rubberband|vidstab))\b"
)


@pytest.fixture(scope="module")
def told() -> dict[tuple[str, str], str]:
    """What the page says of each version of a package."""
    return licences.rows(licences.PAGE.read_text())


def test_every_pin_of_every_part_has_a_line_and_every_line_is_pinned(told: dict[tuple[str, str], str]) -> None:
    parts = {path.stem for path in (licences.ROOT / "requirements").glob("*.txt")}
    # What has an environment of its own, for a test, and is in no installation.
    assert set(PARTS) == parts - {"label_studio", "mcp_clients", "peers"}
    pinned = {pin for part in PARTS for pin in licences.pins(part).items()}
    assert len(pinned) > 200
    assert set(told) == pinned, "run `python -m config.licences`"


@pytest.mark.parametrize("part", ["run", "listen", "voices"])
def test_what_serves_is_pinned_by_hash(part: str) -> None:
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", (licences.ROOT / "requirements" / f"{part}.txt").read_text())[1:]
    assert len(entries) == len(licences.pins(part))
    # Then pip takes nothing that has none.
    assert [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry)] == []


def test_every_licence_is_known_and_as_the_installed_package_says_it(told: dict[tuple[str, str], str]) -> None:
    assert [pin for pin, licence in told.items() if licence in ("", "unknown", "not said")] == []
    here = {pin: said for pin in told if (said := licences.licence(*pin)) is not None}
    assert len(here) > 100
    assert {pin: (told[pin], said) for pin, said in here.items() if told[pin] != said} == {}
    assert licences.page(told) == licences.PAGE.read_text()


def test_nothing_in_the_default_install_is_under_the_gpl(told: dict[tuple[str, str], str]) -> None:
    assert [pin for pin in licences.pins("run").items() if is_copyleft(told[pin])] == []
    others = {
        name for part in PARTS for name, version in licences.pins(part).items() if is_copyleft(told[name, version])
    }
    assert others == {"espeakng-loader", "piper-tts"}


def test_wheels_of_the_default_install_bundle_no_library_under_the_gpl_but_the_stated_ones() -> None:
    found: dict[str, set[str]] = {}
    for name in licences.pins("run"):
        try:
            files = importlib.metadata.files(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        if libraries := {match[1] for file in files if (match := _GPL_LIBRARIES.match(file.name))}:
            found[name] = libraries
    assert found == BUNDLED
    assert all(library.removeprefix("lib") in licences.PAGE.read_text() for library in BUNDLED["av"])


def test_the_web_process_loads_nothing_under_the_gpl(told: dict[tuple[str, str], str]) -> None:
    bound = {name for (name, _), licence in told.items() if is_copyleft(licence)} | set(BUNDLED)
    script = (
        "import app, json, sys; app.create_app(); print(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=licences.ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    loaded = json.loads(ran.stdout.splitlines()[-1])
    packages = importlib.metadata.packages_distributions()
    distributions = {name.lower().replace("_", "-") for module in loaded for name in packages.get(module, [])}
    assert {"flask", "sqlalchemy"} <= distributions
    assert distributions & bound == set()


@pytest.mark.parametrize(
    ("licence", "copyleft"),
    [
        ("GPL-3.0-or-later", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("AGPL-3.0-only", True),
        ("GNU Affero General Public License v3", True),
        ("LGPL-2.1-or-later", False),
        ("GNU Lesser General Public License v3 (LGPLv3)", False),
        ("GNU Library or Lesser General Public License (LGPL)", False),
        ("MPL-2.0 AND MIT", False),
        ("BSD-3-Clause", False),
    ],
)
def test_which_licences_bind_others(licence: str, copyleft: bool) -> None:
    assert is_copyleft(licence) == copyleft
