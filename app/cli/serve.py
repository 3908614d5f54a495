"""``run`` and ``serve``: everything on this machine, until Ctrl-C."""

from __future__ import annotations

import importlib
import threading
import time
from argparse import Namespace
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from app.cli import USAGE, reach
from app.cli.output import Failed
from config.child import StartFailed, running_pid
from config.settings import Settings
from config.supervisor import Supervisor, say
from config.versions import VERSION

PROCFILE = Path(__file__).parents[2] / "Procfile"
# A first start makes a database in about a second, a slow disk may take ten.
_DATABASE_SECONDS = 60.0


def run(arguments: Namespace) -> int:
    """Starts everything and speaks the sample course; with names, only those programs."""
    return _supervise(only=arguments.programs or None, sample=not arguments.programs)


def serve(arguments: Namespace) -> int:
    """Starts everything."""
    return _supervise()


def _supervise(*, only: Collection[str] | None = None, sample: bool = False) -> int:
    configured = reach.load()
    for name in only or ():
        # Two lives under one name would end each other's leases.
        if pid := running_pid(configured.var_dir / "run" / f"{name}.pid"):
            raise Failed(f"{name} runs here already: process {pid}.")
    try:
        supervisor = Supervisor(configured, PROCFILE, only=only)
    except StartFailed as fault:
        raise Failed(str(fault), status=USAGE) from None
    try:
        with supervisor:
            say(f"Voiceworks {VERSION}, data in {configured.var_dir}")
            if only is None:
                threading.Thread(target=_build_ahead, args=[configured], daemon=True).start()
            if supervisor.wait_ready():
                if only is None:
                    from app.cli import demo

                    demo.welcome(configured, sample=sample)
                say("Ctrl-C stops everything." if only is None else f"Ctrl-C stops {', '.join(only)}.")
                supervisor.wait()
    except StartFailed as fault:
        raise Failed(str(fault)) from None
    return supervisor.exit_code


def _build_ahead(configured: Settings) -> None:
    """Loads what the welcome needs while migrations run, when one core has nothing to do.

    Not before the database answers: starting it is this process's own work, which loading would hold up.
    """
    gives_up = time.monotonic() + _DATABASE_SECONDS
    while not reach.database_answers(configured):
        if time.monotonic() > gives_up:
            return
        time.sleep(0.05)
    importlib.import_module("app.cli.demo")
    with suppress(Failed):  # the welcome will say so
        reach.build(configured)
