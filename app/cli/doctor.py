"""``doctor``: is everything here as it should be, and if not, what mends it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from app.cli import FAILED, OK, check_machine, check_services
from app.cli.output import Finding, show_json
from config import settings

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_ABOUT_WIDTH = 27


def doctor(arguments: Namespace) -> int:
    """Shows every finding as soon as it is made; fails where one of them is a failure."""
    console = Console(highlight=False, soft_wrap=True)
    findings = []
    for finding in _findings():
        findings.append(finding)
        if not arguments.json:
            _print(console, finding)
    failed = any(finding.status == "fail" for finding in findings)
    if arguments.json:
        show_json({"healthy": not failed, "findings": [asdict(finding) for finding in findings]})
    return FAILED if failed else OK


def _findings() -> Iterator[Finding]:
    yield check_machine.python()
    try:
        configured = settings.load()
    except settings.SettingsError as fault:
        for line in str(fault).splitlines():
            yield Finding("fail", "settings", line, "correct it in the environment")
        return
    with check_machine.probing() as engines:
        yield from check_machine.data_folder(configured)
        yield check_machine.secret_key(configured)
        yield from check_services.services(configured)
        yield from check_services.openness(configured)
        yield from engines()


def _print(console: Console, finding: Finding) -> None:
    line = Text(f"{finding.status:<4}", style=_STYLES[finding.status])
    line.append(f"  {finding.about:<{_ABOUT_WIDTH}}  {finding.text}", style="default")
    console.print(line)
    if finding.mend:
        console.print(Text(f"{'':<4}  {'':<{_ABOUT_WIDTH}}  → {finding.mend}", style="dim"))
