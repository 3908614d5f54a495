"""Pages to topics: divided where they are long, without what is there twice."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from workers.importers import headings, languages, objectives, places, segments, speaking_time
from workers.importers.blocks import Block, Page
from workers.importers.outline import Asset, Segment, Topic

# About a quarter of an hour: a longer page with headings is several lessons.
_LONG_CHARACTERS = 15_000
# A page that is the whole course is divided sooner.
_LONG_ALONE_CHARACTERS = 1_500
# What stands on most of at least so many pages is furniture.
_FEWEST_PAGES = 4
_SHORTEST_FURNITURE = 12
_LONGEST_TITLE = 500


@dataclass(frozen=True)
class Part:
    """A page with the titles above it, where it lies, and the language it is in."""

    title: str
    above: list[str]
    page: Page
    path: str
    language: str | None


def topics_of(parts: Sequence[Part], names: Collection[str] | None) -> tuple[list[Topic], list[str]]:
    """The topics of some pages, and notes on what was left out. ``names`` are the files of the course."""
    notes: list[str] = []
    furniture = _furniture(parts)
    if furniture:
        shown = "; ".join(sorted(text if len(text) <= 60 else f"{text[:59]}…" for text in furniture))[:300]
        notes.append(f"What stands on most pages is read once: {shown}")
    topics: list[Topic] = []
    seen: dict[str, str] = {}
    said: set[str] = set()
    for part in parts:
        notes += [f"{part.title or part.path or 'A page'}: {note}" for note in part.page.notes]
        for title, blocks, assets in _divided(part, alone=len(parts) == 1):
            kept = list(_without_furniture(blocks, furniture, said))
            found = _without_echoes(segments.segments(_without_lone_headings(kept)))
            if not found:
                if not _is_only_title(part):
                    notes.append(f"{title or part.path or 'A page'}: nothing in it can be read.")
                continue
            print_ = hashlib.sha256("\n".join(segment.text for segment in found).encode()).hexdigest()
            if print_ in seen:
                notes.append(f"{title}: the same as {seen[print_]!r}, left out.")
                continue
            seen[print_] = title
            topics.append(_topic(part, title, found, kept, assets, names, notes))
    return topics, notes


def _topic(
    part: Part,
    title: str,
    found: list[Segment],
    blocks: Sequence[Block],
    assets: Sequence[Asset],
    names: Collection[str] | None,
    notes: list[str],
) -> Topic:
    missing: list[str] = []
    own = places.assets(assets, part.path, names, missing)
    notes += [f"{title}: {target} is not in the course." for target in dict.fromkeys(missing)]
    above = [name for name in part.above if name != title]
    if part.title and part.title != title:
        above.append(part.title)
    text = "\n".join(segment.text for segment in found)
    return Topic(
        title=title,
        segments=found,
        language=languages.detect(text, part.page.language or part.language),
        objectives=objectives.objectives(blocks),
        reading_seconds=speaking_time.seconds(found),
        assets=own,
        extra={"part_of": above} if above else {},
    )


# --- Where a page is divided -----------------------------------------------------------------------------------------


def _divided(part: Part, *, alone: bool) -> Iterator[tuple[str, list[Block], list[Asset]]]:
    """A page's topics: itself, or what is under each heading of the highest level that has several."""
    blocks = part.page.blocks
    title, first = _title(part)
    length = sum(len(text) for block in blocks for text in block.parts)
    level = _level(blocks[first:]) if length > (_LONG_ALONE_CHARACTERS if alone else _LONG_CHARACTERS) else None
    starts = [at for at in range(first, len(blocks)) if blocks[at].kind == "heading" and blocks[at].level == level]
    bounds = [first, *starts, len(blocks)]
    places_of_assets = [at for at, _ in part.page.assets]
    number, opened = "", first
    for start, end in pairwise(bounds):
        if start == end and starts:
            continue
        opened = opened if number else start
        headed = start in starts
        name = blocks[start].text if headed else title
        if headed and end == start + 1 and end < len(blocks) and headings.is_only_number(name):
            # "CHAPTER I" over a line of its own: what it is called stands in the next heading.
            number = name
            continue
        name, number = f"{number.rstrip(' .:')}: {name}" if number else name, ""
        since = 0 if opened == first else bisect_left(places_of_assets, opened)
        until = None if end == len(blocks) else bisect_left(places_of_assets, end)
        inside = [asset for _, asset in part.page.assets[since:until]]
        own = blocks[start + headed : end]
        if not any(block.kind != "heading" for block in own) and starts and not headed:
            continue
        yield name[:_LONGEST_TITLE], own, inside


def _title(part: Part) -> tuple[str, int]:
    """A page's title, and the first block after it: a heading or a line that only repeats it is not said again."""
    blocks = part.page.blocks
    headed = bool(blocks) and blocks[0].kind == "heading"
    if headed and (not part.title or headings.bare(blocks[0].text) == headings.bare(part.title)):
        return blocks[0].text, 1
    if headed and _same(blocks[0].text, part.title):
        return part.title, 1
    if len(blocks) > 1 and blocks[0].kind == "paragraph" and _same(blocks[0].text, part.title):
        return part.title, 1
    if part.title:
        return part.title, 0
    for block in blocks:
        if block.kind == "heading":
            return block.text, 0
    words = next((block.text for block in blocks if block.parts), "").split()
    return " ".join(words[:8]) + ("…" if len(words) > 8 else ""), 0


def _is_only_title(part: Part) -> bool:
    """Whether a page is nothing but the heading that stands above the pages after it."""
    blocks = part.page.blocks
    return len(blocks) == 1 and part.title != "" and _same(blocks[0].text, part.title)


def _same(one: str, other: str) -> bool:
    """Whether a heading is a title; makers of books leave the number of a section to one of them."""
    return headings.same_but_for_number(one, other)


def _level(blocks: Sequence[Block]) -> int | None:
    """The highest level of which there are several headings."""
    levels = Counter(block.level for block in blocks if block.kind == "heading")
    return min((level for level, count in levels.items() if count > 1), default=None)


# --- What is there twice ---------------------------------------------------------------------------------------------


def _furniture(parts: Sequence[Part]) -> frozenset[str]:
    """The texts that stand on more than half of the pages; headings ("Summary") and code are none."""
    if len(parts) < _FEWEST_PAGES:
        return frozenset()
    # The same page twice is another matter.
    pages = {"\n".join(block.text for block in part.page.blocks): part.page.blocks for part in parts}
    if len(pages) < _FEWEST_PAGES:
        return frozenset()
    counted: Counter[str] = Counter()
    for blocks in pages.values():
        texts = {block.text for block in blocks if block.kind != "heading"}
        counted.update(text for text in texts if len(text) >= _SHORTEST_FURNITURE)
    return frozenset(text for text, count in counted.items() if 2 * count > len(pages))


def _without_furniture(blocks: Sequence[Block], furniture: frozenset[str], said: set[str]) -> Iterator[Block]:
    for block in blocks:
        if block.text in furniture and block.kind != "heading":
            if block.text in said:
                continue
            said.add(block.text)
        yield block


def _without_lone_headings(blocks: Sequence[Block]) -> list[Block]:
    """Without headings under which nothing is said."""
    kept: list[Block] = []
    last = 0
    for block in reversed(blocks):
        if block.kind == "heading":
            if last == 0 or block.level >= last:
                continue
            last = block.level
        elif block.parts:
            last = 7
        kept.append(block)
    return kept[::-1]


def _without_echoes(found: Sequence[Segment]) -> list[Segment]:
    """Without a figure that repeats what was said before it: a caption after the same description."""
    kept: list[Segment] = []
    for segment in found:
        if not kept or segment.kind != "figure" or headings.bare(segment.text) != headings.bare(kept[-1].text):
            kept.append(segment)
    return kept
