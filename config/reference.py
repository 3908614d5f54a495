"""``python -m config.reference`` writes ``docs/configuration.md``: every variable, from where the program reads it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from config.settings import Settings
from config.variables import Variable, setting_of

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"

_HEAD = """\
# Configuration

Everything is set by environment variables, and nothing has to be: without any, `make run` starts the whole system on
this machine. A value that cannot be used keeps everything from starting, and every such value is named at once. All
programs of an installation (the lines of the `Procfile`, on every machine) get the same values.

This page is written by `python -m config.reference` from `config/settings.py`; a test keeps the two together.
"""

# Read by a program that has no settings: what starts it says so, or somebody who starts one worker by hand.
_ELSEWHERE = {
    "WORKER_ENGINES": (
        "names of `config/voices.toml`, with commas between",
        "none",
        "The engines that a speech worker loads. The fleet sets it for each of its workers.",
    ),
    "WORKER_THREADS": (
        "whole number, at least 1",
        "`1`",
        "The threads that an engine on the processor may use. The fleet gives a live worker two and a bulk worker one.",
    ),
    "WORKER_DEVICE": (
        "`cpu` or `cuda:0`",
        "`cpu`",
        "What an engine computes on: with `cuda:0` the first GPU that `CUDA_VISIBLE_DEVICES` leaves. Set by the fleet.",
    ),
    "WORKER_READY_FILE": ("path", "none", "A file that a worker makes once it takes work. Set by the fleet."),
    "WORKER_TRAINER": (
        "command",
        "`python -m workers.wakeword.train`, `python -m workers.llm.finetune`",
        "What trains a wake word or a language model; the folder of its plan is added. For tests of what is around it.",
    ),
    "CUDA_VISIBLE_DEVICES": (
        "numbers of GPUs, with commas between",
        "all",
        "Set for `fleet`, it names the GPUs of this machine that may be used.",
    ),
    "NO_COLOR": ("anything", "none", "The command line and `LOG_FORMAT=pretty` then show no colours."),
}


def page() -> str:
    """The page, as it should be."""
    parts = [_HEAD]
    for title, rows in _sections():
        parts.append(f"## {title}\n\n{_table(rows)}")
    others = [(name, *row) for name, row in _ELSEWHERE.items()]
    parts.append(f"## Beside the settings\n\n{_table(others)}")
    return "\n".join(parts)


def _sections() -> Iterator[tuple[str, list[tuple[str, str, str, str]]]]:
    """Titles, which stand between the fields as comments, and under each the rows of its variables."""
    settings = {each.name: setting for each in fields(Settings) if (setting := setting_of(each))}
    title, rows = "", list[tuple[str, str, str, str]]()
    for line in inspect.getsource(Settings).splitlines():
        if heading := re.fullmatch(r" {4}# --- (.+?) -+", line):
            if rows:
                yield title, rows
            title, rows = heading[1], []
        elif (found := re.match(r" {4}(\w+): ", line)) and found[1] in settings:
            rows += [_row(name, variable) for name, variable in settings[found[1]].named(found[1]).items()]
    yield title, rows


def _row(name: str, variable: Variable) -> tuple[str, str, str, str]:
    return name, variable.kind, variable.default, variable.about


def _table(rows: list[tuple[str, str, str, str]]) -> str:
    lines = ["| variable | value | default | what it does |", "| --- | --- | --- | --- |"]
    lines += [f"| `{name}` | {kind} | {default} | {about} |" for name, kind, default, about in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
