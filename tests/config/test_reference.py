"""The page of all settings: as the program reads them, with nothing left out."""

from __future__ import annotations

import re
from pathlib import Path

from config import reference, settings

ROOT = Path(__file__).parents[2]
# How our source asks the environment for something, or names what is asked for elsewhere; what it sets is for others.
_ASKED = re.compile(
    r'os\.environ(?:\.get\(|\[)"([A-Z_]+)"(?!\] = )|"([A-Z_]+)" (?:not )?in os\.environ'
    r'|"(WORKER_[A-Z_]+)"|"(CUDA_[A-Z_]+)"'
)


def test_the_page_is_as_the_settings_are() -> None:
    assert reference.PAGE.read_text() == reference.page(), "run `python -m config.reference`"


def test_every_variable_has_a_line_of_its_own() -> None:
    told = re.findall(r"(?m)^\| `(\w+)` \|", reference.page())
    assert len(told) == len(set(told))
    assert {name for name, _ in settings.variables()} <= set(told)


def test_every_line_says_what_the_variable_takes_and_does() -> None:
    for name, variable in settings.variables():
        assert variable.kind, name
        assert variable.default, name
        assert re.fullmatch(r"[A-Z`].{8,}\.", variable.about), (name, variable.about)


def test_what_is_read_past_the_settings_is_told_too() -> None:
    asked = set()
    for folder in ("app", "tasks", "workers", "models", "config"):
        for path in (ROOT / folder).rglob("*.py"):
            asked |= {name for names in _ASKED.findall(path.read_text()) for name in names if name}
    assert {"WORKER_ENGINES", "WORKER_READY_FILE", "REMOTE_TTS_URL"} <= asked
    told = set(re.findall(r"(?m)^\| `(\w+)` \|", reference.page()))
    assert asked - told == set()
