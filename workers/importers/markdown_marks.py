"""Marks in Markdown that are for the eye: badges, boxes to tick, names of smileys, what is struck through."""

from __future__ import annotations

import re

# A fence and what it holds is code, in which all of these mean something else.
_FENCE = re.compile(r"^[ \t]{0,3}(`{3,}|~{3,})", re.MULTILINE)
_MARKS = (
    # [!NOTE] above a note in a box.
    re.compile(r"(?<=>)[ \t]*\[![A-Za-z]{2,20}\][-+]?[ \t]*$", re.MULTILINE),
    # :point_right: and :+1:
    re.compile(r"(?<![\w:`]):(?:[+-]1|(?=[\d_+-]{0,40}[a-z])[a-z0-9_+-]{2,40}):(?![\w:`])[ \t]?"),
    re.compile(r"~~(?=\S)[^~\n]{1,500}(?<=\S)~~[ \t]?"),
)
# An image with a link around it, and where the image lies.
_LINKED_IMAGE = re.compile(r"\[!\[[^\[\]\n]{0,200}\]\(([^()\s]{0,500})(?:\s\"[^\"\n]{0,200}\")?\)\]\([^()\s]{0,500}\)")
# Such an image tells how a build went.
_BADGE = ("shields.io", "badge")
_BOX = re.compile(r"^([ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+)\[[ xX]\][ \t]+", re.MULTILINE)
# ## Bends {#bends}
_ANCHOR = re.compile(r"^([ ]{0,3}#{1,6}[ \t].{0,300}?)[ \t]{0,20}\{[#.:][^{}\n]{0,100}\}[ \t]{0,20}$", re.MULTILINE)


def without_marks(text: str) -> str:
    """The page without them; code stays as it is, and lines stay where they are."""
    kept: list[str] = []
    at, fence = 0, ""
    for found in _FENCE.finditer(text):
        if not fence:
            kept += [_plain(text[at : found.start()])]
            at, fence = found.start(), found[1]
        elif found[1].startswith(fence):
            kept.append(text[at : found.end()])
            at, fence = found.end(), ""
    rest = text[at:]
    return "".join([*kept, rest if fence else _plain(rest)])


def _plain(text: str) -> str:
    text = _LINKED_IMAGE.sub(lambda found: "" if any(each in found[1].lower() for each in _BADGE) else found[0], text)
    for mark in _MARKS:
        text = mark.sub("", text)
    return _ANCHOR.sub(r"\1", _BOX.sub(r"\1", text))
