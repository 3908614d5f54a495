"""How commands show things: sentences, columns for people and ``grep``, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TextIO


class Failed(Exception):
    """A command cannot do what was asked; the text is one sentence that names the mend where there is one."""

    def __init__(self, message: str, *, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class Terminated(KeyboardInterrupt):
    """Somebody asked this process to end, as Ctrl-C does."""


def show_json(value: object) -> None:
    """Prints a value as JSON, laid out for reading."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def show_columns(titles: Sequence[str], rows: Sequence[Sequence[object]], *, nothing: str) -> None:
    """Prints rows below their titles, never cut to the width of a terminal: ids are there to be copied."""
    if not rows:
        print(nothing)
        return
    texts = [list(titles), *(["" if cell is None else str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in texts) for at in range(len(titles))]
    for row in texts:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_pairs(pairs: Sequence[tuple[str, object]], *, indent: str = "") -> None:
    """Prints names with their values, one a line; those without a value are left out."""
    shown = [(name, value) for name, value in pairs if value not in (None, "", {})]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print(f"{indent}{name.ljust(width)}  {value}")


def duration(seconds: float) -> str:
    """A length of time for people: ``0.8 s``, ``14 s``, ``9 min 12 s``, ``2 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (0 if hours else rest, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def moment(when: datetime | None) -> str:
    """A time for people, in their own zone."""
    return f"{when.astimezone():%Y-%m-%d %H:%M:%S}" if when else ""


def counted(number: int, noun: str) -> str:
    """``1 segment``, ``42 segments``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def on_terminal(stream: TextIO | None = None) -> bool:
    """Whether somebody sits at a stream, by default standard output."""
    return (stream or sys.stdout).isatty()


@dataclass(frozen=True)
class Finding:
    """One line of ``doctor``: what was looked at, how it is, and what mends it."""

    status: Literal["ok", "warn", "fail"]
    about: str
    text: str
    mend: str = ""
