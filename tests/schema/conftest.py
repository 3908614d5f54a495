"""Shows what was asked."""

from __future__ import annotations

import pytest

# How a property begins that is a line of the summary.
SUMMARY = "asked: "


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line a role."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    lines = [str(said) for report in reports for name, said in report.user_properties if name == SUMMARY]
    if lines:
        terminalreporter.section("asked of the description")
        for line in lines:
            terminalreporter.line(line)
