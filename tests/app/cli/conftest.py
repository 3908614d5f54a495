"""What the tests of the command line share."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from app.cli import main, reach


@dataclass(frozen=True)
class Ran:
    """What a command gave back and showed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it showed, as a program reads it."""
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process; ``stdin`` is what is piped into it."""

    def call(*arguments: str, stdin: str = "") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        # A process of its own would have an application of its own.
        reach.build.cache_clear()
        try:
            status = main(arguments)
        except SystemExit as fault:  # argparse's way of refusing
            status = int(fault.code or 0)
        shown = capsys.readouterr()
        return Ran(status, shown.out, shown.err)

    return call


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Takes back that a command silences the log of its process."""
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]
