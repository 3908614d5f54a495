"""What has been read of a page of HTML so far: its blocks, and the text that is not a block yet."""

from __future__ import annotations

import re
from bisect import bisect_left

from workers.importers import formulas, headings, inline
from workers.importers.blocks import Block, Kind, Page, clean, ended
from workers.importers.html_lists import Numbering
from workers.importers.outline import Asset
from workers.text.sentences import has_word

_LONGEST_ASSET_TEXT = 500
# Where a line was broken by hand; nothing else is written so.
LINE_BREAK = "\n\v"
# Lines that say something of the work ("Title: …", "Language: …") are no sentence together.
_BEFORE_LABEL = re.compile(rf"(?<=[\w\])%]) *{LINE_BREAK}\s*(?=[^\W\d_][\w’'()/ -]{{1,40}}:\s)")


class Gathered:
    """A page that grows: text is appended to ``text``, and becomes a block where a paragraph ends.

    ``lists``, ``quotes`` and ``captions`` say what one is inside of; ``marker`` stands before the next item.
    """

    def __init__(self, page: Page, language: str) -> None:
        self.page = page
        self.language = language
        self.text: list[str] = []
        self.items: list[str] = []
        self.lists: list[Numbering] = []
        self.marker = ""
        self.quotes = 0
        self.captions = 0
        self.unread: list[str] = []
        self.notes_out = 0
        # After how many blocks something was left out last; which headings stand over contents that were.
        self.left_out_at = -1
        self.contents_at: set[int] = set()

    def taken(self) -> str:
        """The text gathered so far, which is then gone; empty if it has no word."""
        written = "".join(self.text)
        if LINE_BREAK in written:
            written = _with_stops(written)
        text = clean(inline.with_formulas(written, self.language, self.unread))
        self.text.clear()
        return text if has_word(text) else ""

    def flush(self, kind: Kind | None = None, level: int = 0) -> None:
        """Makes a block or an item of the text gathered so far; of which kind is known by what it stands in."""
        if not self.text:
            return
        if not any(text and not text.isspace() for text in self.text):
            self.text.clear()
            return
        text = self.taken()
        if not text:
            return
        if kind is None and self.lists and not self.quotes and not self.captions:
            self.items.append(ended(self.marker + text))
            self.marker = ""
            return
        kind = kind or ("figure" if self.captions else "quote" if self.quotes else "paragraph")
        self.add(Block(kind, (ended(text) if kind == "figure" else text,), level))

    def term(self) -> None:
        """Puts the text gathered so far before its explanation, beside other terms of the same."""
        term = self.taken()
        if term:
            self.marker = f"{self.marker.removesuffix(': ')}, {term}: " if self.marker else f"{term}: "

    def leave_list(self) -> None:
        """Ends the innermost list, and with the outermost its block; a term without explanation is said, too."""
        if self.marker.endswith(": "):
            self.items.append(ended(self.marker.removesuffix(": ")))
        self.marker = ""
        self.lists.pop()
        if not self.lists:
            self.end_items()

    def end_items(self) -> None:
        """Makes a block of the items gathered so far."""
        if self.items:
            self.page.blocks.append(Block("list", tuple(self.items)))
            self.items = []

    def add(self, block: Block) -> None:
        """Adds a block after the items gathered so far."""
        self.end_items()
        self.page.blocks.append(block)

    def figure(self, description: str) -> None:
        """Adds what an image shows: one inside a paragraph is said after what was said before it."""
        self.flush()
        self.add(Block("figure", (ended(description),)))

    def formula(self, source: str) -> str:
        """A formula between words."""
        return inline.formula(source, self.language, self.unread)

    def display(self, source: str) -> None:
        """Adds a formula that stands alone."""
        self.flush()
        said = formulas.spoken(source, self.language)
        if said is None:
            self.unread.append(source)
            return
        self.add(Block("formula", (said,), source=source))

    def image(self, target: str, text: str) -> None:
        """Keeps where an image is."""
        self._keep(Asset("image", target, text[:_LONGEST_ASSET_TEXT]))

    def link(self, target: str, text: str) -> None:
        """Keeps where a link leads."""
        self._keep(Asset("link", target, text[:_LONGEST_ASSET_TEXT]))

    def _keep(self, asset: Asset) -> None:
        self.page.assets.append((len(self.page.blocks), asset))

    def announces_contents(self) -> bool:
        """Whether a heading that announces the contents is the last that was read."""
        last = self.page.blocks[-1:]
        if not last or last[0].kind != "heading" or self.items or any(map(str.strip, self.text)):
            return False
        return headings.announces_contents(last[0].text)

    def leave_out(self, *, contents: bool = False) -> None:
        """Remembers that something was left out here; ``contents`` are a list of the book's own chapters."""
        self.left_out_at = len(self.page.blocks)
        if contents and self.left_out_at - 1 not in self.contents_at:
            self.contents_at.add(self.left_out_at - 1)
            self.note("A list of contents is passed over.")

    def close(self) -> None:
        """Ends the page: contents go with their heading, and a heading that closes the text is said like a text."""
        page = self.page
        last = page.blocks[-1] if len(page.blocks) > 1 else None
        if last is not None and last.kind == "heading" and page.blocks[-2].kind != "heading":
            others = [block.level for block in page.blocks[:-1] if block.kind == "heading"]
            # A level that is two deeper than any was chosen for its looks.
            alone = bool(others) and last.level > max(others) + 1 and self.left_out_at < len(page.blocks)
            if alone or headings.is_the_end(last.text):
                page.blocks[-1] = Block("paragraph", (ended(last.text),))
        if self.contents_at:
            gone = sorted(self.contents_at)
            page.blocks = [block for at, block in enumerate(page.blocks) if at not in self.contents_at]
            page.assets = [(place - bisect_left(gone, place), asset) for place, asset in page.assets]

    def note(self, sentence: str) -> None:
        """Tells whoever imports the page something."""
        self.page.notes.append(sentence)

    def tell(self) -> None:
        """Notes what of the page was not read."""
        for source in dict.fromkeys(self.unread):
            self.note(f"A formula is too hard to be said: {short(source)}")
        if self.notes_out:
            self.note("Footnotes and references are left out.")

    def join(self, inner: Gathered) -> str:
        """Takes over what was met in a part that was read by itself; its text."""
        self.unread += inner.unread
        self.notes_out += inner.notes_out
        self.page.assets += [(len(self.page.blocks), asset) for _, asset in inner.page.assets]
        return " ".join(part for block in inner.page.blocks for part in block.parts)


def _with_stops(text: str) -> str:
    """A text with a stop where a line ends that goes on in no other: the number of a chapter, what a label says."""
    first, _, rest = text.partition(LINE_BREAK)
    if headings.is_only_number(" ".join(first.split())) and rest.strip():
        text = f"{first.rstrip(' .:')}: {rest}" if not first.rstrip().endswith((".", ":")) else text
    return _BEFORE_LABEL.sub(". ", text)


def short(text: str) -> str:
    """The beginning of a text, on one line, for a note."""
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:79]}…"
