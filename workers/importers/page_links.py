"""The order of a book of HTML pages: that of the links on the page that lists them."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Mapping

from workers.importers.reading import Reading

_LINK = re.compile(r"<a\b[^<>]{0,1000}?\shref\s*=\s*(?:\"([^\"<>]{1,1000})\"|'([^'<>]{1,1000})')", re.IGNORECASE)
# Links to fewer are no list.
_FEWEST = 2


def order(reading: Reading, pages: Collection[str], written: Mapping[str, str], own: str) -> list[str]:
    """The pages in the order of the one that lists most others, itself first; empty where none does.

    ``written`` is the HTML of those pages that are HTML. The one that lists is ``own``, the page that stands for the
    whole, else the one with the longest list: where by its menu every page leads to every other, none is the contents.
    """
    listing = {}
    for path, text in written.items():
        found = _linked(reading, pages, path, text)
        if len(found) >= _FEWEST and 2 * len(found) > len(pages) - 1:
            listing[path] = found
    most = max(map(len, listing.values()), default=0)
    longest = [path for path, found in listing.items() if len(found) == most]
    first = own if own in listing else longest[0] if len(longest) == 1 else None
    return [] if first is None else [first, *listing[first]]


def _linked(reading: Reading, pages: Collection[str], path: str, text: str) -> list[str]:
    """The other pages to which a page leads, each once, as they come."""
    found: dict[str, None] = {}
    for link in _LINK.finditer(text):
        target = reading.resolve(path, html.unescape(link[1] or link[2]))
        if target is not None and target in pages and target != path:
            found[target] = None
    return list(found)
