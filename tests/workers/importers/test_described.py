"""The page on imports names what the importers know: a code, a source or a limit without a line fails here."""

from __future__ import annotations

import re
from pathlib import Path

from models.errors import Invalid
from workers.importers import generate, reading
from workers.importers.archive import LIMITS
from workers.importers.source import SOURCES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "imports.md").read_text(encoding="utf-8")
_RAISED = re.compile(r"\bcode\s*=\s*\"([a-z_]+)\"")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    _, _, rest = PAGE.partition(f"\n## {heading}\n")
    table = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def raised() -> set[str]:
    """Every code that an import can fail with, by the sources; storing refuses in words of the store's own."""
    folder = ROOT / "workers"
    sources = [
        *(folder / "importers").glob("*.py"),
        *(folder / "clients").glob("http*.py"),
        ROOT / "tasks" / "imports.py",
        ROOT / "tasks" / "folders.py",
    ]
    return {Invalid.code} | {code for path in sources for code in _RAISED.findall(path.read_text(encoding="utf-8"))}


def test_every_code_has_a_line_and_every_line_a_code() -> None:
    described = [cells[0].strip("`") for cells in rows("Refusals")]
    assert described == sorted(raised())
    assert len(described) > 25


def test_every_line_says_when_and_what_to_do() -> None:
    assert [cells for cells in rows("Refusals") if len(cells) != 3 or not all(cells)] == []


def test_every_source_has_a_line() -> None:
    assert [cells[0].strip("`") for cells in rows("Sources")] == list(SOURCES)


def test_the_limits_are_those_of_the_code() -> None:
    said = {cells[0].strip("`"): cells[1] for cells in rows("Refusals")}
    assert f"more than {LIMITS.entries:,} files" in said["unsafe_archive"]
    assert f"{reading.PAGE_BYTES >> 20} MiB or {reading.PAGE_TAGS:,} tags" in said["file_too_large"]
    assert f"XML beyond {reading.XML_BYTES >> 20} MiB" in said["file_too_large"]
    assert f"{reading.COURSE_BYTES >> 20} MiB of pages" in said["course_too_large"]
    assert f"{generate.MAX_TOPICS:,} topics, {generate.MAX_SEGMENTS:,} segments" in said["course_too_large"]
    assert f"{generate.MAX_SEGMENT:,} characters" in said["segment_too_long"]
    assert f"more than {reading.MAX_DEPTH} deep" in said["nested_too_deep"]
