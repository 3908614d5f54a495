"""The command line: what each command is called is in ``parser``, what it does in the file of its name.

A command's own file is imported when it is asked for: `run` starts the servers before Flask and Celery are loaded.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence

from app.cli import parser, reach
from app.cli.output import Failed, Terminated

OK, FAILED, USAGE = 0, 1, 2
# What a shell reports for a program that Ctrl-C ended.
INTERRUPTED = 130
# And for one that SIGTERM ended.
TERMINATED = 143

Command = Callable[[Namespace], int]


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0, 1 after one sentence on standard error, 2 where the arguments make no sense."""
    known = parser.build()
    if not arguments:
        known.print_help()
        return OK
    chosen = known.parse_args(arguments)
    try:
        if chosen.needs is not None:
            reach.require(queue=chosen.needs == "services")
        status = _command(chosen.command)(chosen)
        # Here, where a reader that has gone is expected; at the interpreter's end it would be a traceback.
        sys.stdout.flush()
    except Failed as fault:
        print(fault, file=sys.stderr)
        return fault.status
    except Terminated:
        return TERMINATED
    except KeyboardInterrupt:
        return OK if chosen.until_interrupted else INTERRUPTED
    except BrokenPipeError:
        # `... | head` has seen enough; what is still buffered goes nowhere.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return status


def _command(name: str) -> Command:
    module, _, function = name.partition(":")
    command: Command = getattr(importlib.import_module(f"app.cli.{module}"), function)
    return command
