"""A text in blocks (paragraphs, headings, items) with what Markdown adds for the eye taken out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from workers.text import numerals
from workers.text.held import Held
from workers.text.lexicon import LONGEST_READING, phonemes
from workers.text.sentences import PARAGRAPH_PAUSE_SECONDS, SENTENCE_PAUSE_SECONDS

# A reader lets a heading sink in, and gives each item of a list more than a sentence and less than a paragraph.
HEADING_PAUSE_SECONDS = 0.8
ITEM_PAUSE_SECONDS = 0.4

_HEADING = re.compile(r"\s{0,3}#{1,6}\s+(?=\S)")
_UNDERLINE = re.compile(r"\s{0,3}(?:={3,}|-{3,})\s*")
_BULLET = re.compile(r"\s*(?:[-*+•‣◦▪●]|–(?=\s))\s+(?:\[[ xX]\]\s+)?(?=\S)|\s*[•‣◦▪●](?=\S)")
_NUMBERED = re.compile(r"\s*(?P<number>[0-9]{1,2})(?P<mark>[.)])\s+(?=\S)")
_QUOTED = re.compile(r"\s{0,3}(?:>\s?)+")
_FENCE = re.compile(r"\s{0,3}(?:```|~~~)")
_ROW = re.compile(r"\s*\|.*\|\s*")
_INLINE = re.compile(
    r"`{1,2}(?P<code>[^`]+)`{1,2}"
    r"|!?\[(?P<label>[^\[\]]{1,300})\]\((?P<target>[^()\s<>]{0,500})(?:\s\"[^\"]{0,200}\")?\)"
    r"|<(?P<address>(?:https?://|mailto:)[^<>\s]{1,500})>"
    r"|\\(?P<escaped>[\\`*_{}\[\]()#+.!~-])"
    r"|(?P<stars>(?<![\w*])\*{1,3}(?=[^\s*])|(?<=[^\s*])\*{1,3}(?![\w*])|~~(?=\S)|(?<=\S)~~)"
    r"|(?<![\w_])(?P<bar>_{1,2})(?=[^\s_])(?P<emphasised>[^_]+)(?<=[^\s_])(?P=bar)(?![\w_])"
)
_DUNDER = re.compile(r"[a-z]{2,20}")


@dataclass
class Block:
    """What belongs together, on one line, and the rest after it; a ``titled`` one ends like a sentence."""

    lines: list[str]
    pause_seconds: float = PARAGRAPH_PAUSE_SECONDS
    titled: bool = False

    @property
    def text(self) -> str:
        return " ".join("\n".join(self.lines).split())


def blocks(text: str, held: Held) -> list[Block]:
    """The blocks of a text in order; ``held`` takes the numbers of items and the readings given as links."""
    found: list[Block] = []
    open_block: Block | None = None
    fenced = False
    for line in text.splitlines():
        if _FENCE.match(line):
            fenced, open_block = not fenced, None
            continue
        if fenced:
            found.append(Block([line], SENTENCE_PAUSE_SECONDS))
            continue
        if quoted := _QUOTED.match(line):
            line = line[quoted.end() :]
        began = _begun(line, open_block, held)
        if began is not None:
            found.append(began)
            open_block = None if began.pause_seconds == HEADING_PAUSE_SECONDS or _ROW.fullmatch(line) else began
        elif not line.strip():
            open_block = None
        elif _UNDERLINE.fullmatch(line):
            if open_block is not None and not open_block.titled:
                open_block.pause_seconds, open_block.titled = HEADING_PAUSE_SECONDS, True
            open_block = None
        elif open_block is not None:
            open_block.lines.append(line)
        else:
            open_block = Block([line])
            found.append(open_block)
    return _with_rests([Block([_inline(block.text, held)], block.pause_seconds, block.titled) for block in found])


def _begun(line: str, open_block: Block | None, held: Held) -> Block | None:
    """The block that a line begins by its mark: a heading, an item, a row of a table."""
    if heading := _HEADING.match(line):
        return Block([line[heading.end() :].rstrip().rstrip("#")], HEADING_PAUSE_SECONDS, titled=True)
    if _ROW.fullmatch(line):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        return Block(
            [", ".join(cell for cell in cells if any(map(str.isalnum, cell)))], ITEM_PAUSE_SECONDS, titled=True
        )
    if bullet := _BULLET.match(line):
        return Block([line[bullet.end() :]], ITEM_PAUSE_SECONDS, titled=True)
    if (number := _NUMBERED.match(line)) and _lists(number["number"], open_block):
        marker = held.hold(number["number"] + number["mark"], f"{numerals.cardinal(int(number['number']))}:")
        return Block([f"{marker} {line[number.end() :]}"], ITEM_PAUSE_SECONDS, titled=True)
    return None


def _lists(number: str, open_block: Block | None) -> bool:
    """Whether a number before a line is that of an item: inside a paragraph it is chance, unless a list begins."""
    return open_block is None or open_block.titled or number == "1" or open_block.lines[-1].rstrip().endswith(":")


def _with_rests(found: list[Block]) -> list[Block]:
    """The last item of a list is the end of a paragraph."""
    for here, following in zip(found, [*found[1:], None], strict=False):
        if here.pause_seconds == ITEM_PAUSE_SECONDS and (following is None or not following.titled):
            here.pause_seconds = PARAGRAPH_PAUSE_SECONDS
    return found


def _inline(text: str, held: Held) -> str:
    return _INLINE.sub(lambda match: _plain(match, held), text)


def _plain(match: re.Match[str], held: Held) -> str:
    kind = match.lastgroup
    if kind == "target":
        label, target = match["label"], match["target"]
        if len(target) > 2 and target[0] == target[-1] == "/" and not target.isascii() and len(label) < LONGEST_READING:
            return held.hold(label, phonemes(label, target[1:-1]))
        return _inline(label, held)
    if kind == "emphasised":
        whole = match["bar"] == "__" and _DUNDER.fullmatch(match["emphasised"])
        return match[0] if whole else _inline(match["emphasised"], held)
    return match["code"] or match["escaped"] or (match["address"] or "").removeprefix("mailto:")
