"""Tables as sentences, one for each row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from workers.importers.blocks import clean, ended
from workers.importers.hidden import Element, is_left_out, tag_of

# Larger ones are looked at, not listened to.
MOST_ROWS = 40
MOST_COLUMNS = 8
_MOST_SPAN = 50
_BLOCKS = frozenset("table ul ol dl pre blockquote h1 h2 h3 h4 h5 h6 figure section article".split())


@dataclass(frozen=True)
class Read:
    """What a table says: a sentence for each row, or nothing and why."""

    rows: tuple[str, ...]
    refused: str = ""


@dataclass(frozen=True)
class _Cell:
    text: str
    heads: bool


def is_layout(table: Element) -> bool:
    """Whether a table only arranges a page: it says so, or has blocks in its cells, or no two cells side by side."""
    if table.get("role") in ("presentation", "none"):
        return True
    widest = 0
    for row in _rows(table):
        cells = list(_cells(row))
        widest = max(widest, len(cells))
        for cell in cells:
            paragraphs = sum(1 for _ in islice(cell.iterdescendants("p"), 2))
            if paragraphs > 1 or next(cell.iterdescendants(*_BLOCKS), None) is not None:
                return True
    return widest < 2


def read(table: Element, inline: Callable[[Element], str]) -> Read:
    """A table's rows as sentences; ``inline`` gives the text of a cell."""
    grid = list(_grid(table, inline))
    columns = max((len(row) for row in grid), default=0)
    if len(grid) > MOST_ROWS or columns > MOST_COLUMNS:
        return Read((), f"{len(grid)} rows and {columns} columns")
    heads: list[str] = []
    # Of two columns the headings are said once, before the rows.
    if len(grid) > 1 and columns > 2 and _is_head(table, grid):
        heads = [cell.text for cell in grid[0]]
        grid = grid[1:]
    return Read(tuple(said for row in grid if (said := _sentence(row, heads))))


def _is_head(table: Element, grid: list[list[_Cell]]) -> bool:
    in_head = any(tag_of(each) == "thead" and len(each) for each in table)
    return in_head or all(cell.heads or not cell.text for cell in grid[0])


def _sentence(row: list[_Cell], heads: list[str]) -> str:
    """``Mars: Diameter 6,779 km; Moons 2.`` where there are headings, else the cells one after another."""
    named = row[0].text if row and (row[0].heads or heads) else ""
    rest = row[1:] if named else row
    told: list[str] = []
    last: tuple[str, str] | None = None
    for at, cell in enumerate(rest, start=len(row) - len(rest)):
        head = heads[at] if at < len(heads) else ""
        # A cell that spans columns under one heading is said once.
        if cell.text and (head, cell.text) != last:
            told.append(f"{head} {cell.text}" if head else cell.text)
            last = (head, cell.text)
    if not named:
        return ended((": " if len(row) == 2 else ", ").join(told))
    joined = ("; " if any("," in each for each in told) else ", ").join(told)
    return ended(f"{named}: {joined}" if joined else named)


def _grid(table: Element, inline: Callable[[Element], str]) -> Iterator[list[_Cell]]:
    """The rows, each cell as often as it spans columns and rows."""
    waiting: dict[int, tuple[int, _Cell]] = {}
    for row in _rows(table):
        cells: list[_Cell] = []

        def fill(cells: list[_Cell] = cells) -> None:
            while len(cells) in waiting:
                at = len(cells)
                left, cell = waiting.pop(at)
                if left > 1:
                    waiting[at] = (left - 1, cell)
                cells.append(cell)

        for element in _cells(row):
            fill()
            cell = _Cell(clean(inline(element)), tag_of(element) == "th")
            down = _span(element, "rowspan")
            for _ in range(_span(element, "colspan")):
                if down > 1:
                    waiting[len(cells)] = (down - 1, cell)
                cells.append(cell)
        fill()
        if any(cell.text for cell in cells):
            yield cells


def _rows(table: Element) -> Iterator[Element]:
    for child in table:
        tag = tag_of(child)
        if tag == "tr":
            yield child
        elif tag in ("thead", "tbody", "tfoot"):
            yield from (row for row in child if tag_of(row) == "tr")


def _cells(row: Element) -> Iterator[Element]:
    for cell in row:
        if (tag := tag_of(cell)) in ("td", "th") and not is_left_out(cell, tag):
            yield cell


def _span(element: Element, name: str) -> int:
    told = element.get(name, "1").strip()
    return min(max(int(told), 1), _MOST_SPAN) if told.isascii() and told.isdecimal() and len(told) < 6 else 1
