"""Markdown and plain text to blocks."""

from __future__ import annotations

import functools
import html
import re

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.front_matter import front_matter_plugin

from workers.importers import html_blocks, inline
from workers.importers.blocks import Block, Page, clean, ended
from workers.text.sentences import has_word

# What the makers of sites put between: {% include %}, {{< figure >}}, {: .class}.
_SHORTCODE = re.compile(r"\{%[^%\n]{0,500}%\}|\{\{[<%][^\n]{0,500}?[>%]\}\}|^\{:[^}\n]{0,200}\}\s*$", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_UNDERLINE = re.compile(r"[=\-~*_]{3,}")
_CHAPTER = re.compile(
    r"(?:chapter|lecture|lesson|part|unit|module|section|book|appendix|kapitel|lektion|teil|chapitre|leçon|partie|cours|"
    r"第)\s?(?:[\divxlc]+|[一二三四五六七八九十百]+)?\b.{0,80}", re.IGNORECASE,
)  # fmt: skip
_ITEM = re.compile(r"\s*(?:[-*•‣◦▪–]\s+|(?P<number>\d{1,3})[.)]\s+)(?=\S)")
_HYPHEN = re.compile(r"(?<=[^\W\d_])-\n\s*(?=[a-zà-ÿ])")
# Longer lines were not broken by hand: each is a paragraph.
_LONGEST_BROKEN_LINE = 110
_ENDS = re.compile(r"[.!?…:。！？][\"'”’»)]*\s*$")


def read_markdown(text: str, language: str | None = None) -> Page:
    """The blocks of a page in Markdown, its HTML included."""
    return html_blocks.read(f"<main>{_markdown().render(_SHORTCODE.sub('', text))}</main>", language)


@functools.cache
def _markdown() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    reader.use(front_matter_plugin).use(footnote_plugin).use(deflist_plugin)
    reader.use(dollarmath_plugin, allow_labels=False).disable("math_inline")
    reader.inline.ruler.before("escape", "tex", _tex)
    return reader


def _tex(state: StateInline, silent: bool) -> bool:
    """Formulas between words, before Markdown reads their backslashes and underscores; money is none."""
    found = inline.TEX.match(state.src, state.pos)
    source = inline.tex_of(found) if found else None
    if found is None or source is None:
        return False
    if not silent:
        display = " display" if found.lastgroup in ("double", "square") else ""
        token = state.push("html_inline", "", 0)
        token.content = f'<span class="math{display}">{html.escape(source)}</span>'
    state.pos = found.end()
    return True


def read_text(text: str, language: str | None = None) -> Page:
    """The blocks of a plain text: paragraphs between empty lines, underlined headings and chapters, lists."""
    page = Page()
    unread: list[str] = []
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n").replace("\u2029", "\n\n")
    for paragraph in _PARAGRAPH.split(text):
        lines = [line for line in paragraph.split("\n") if line.strip()]
        while lines:
            lines = _next(page, lines, language, unread)
    page.notes += [f"A formula is too hard to be said: {source[:80]}" for source in dict.fromkeys(unread)]
    return page


def _next(page: Page, lines: list[str], language: str | None, unread: list[str]) -> list[str]:
    """Adds the block with which some lines begin; gives the lines after it."""
    if len(lines) > 1 and len(lines[0]) <= 100 and _UNDERLINE.fullmatch(lines[1].strip()):
        _add(page, Block("heading", (clean(lines[0]),), 1 if lines[1].strip()[0] == "=" else 2))
        return lines[2:]
    if len(lines) == 1 and _is_chapter(lines[0]):
        _add(page, Block("heading", (clean(lines[0]),), 1))
        return []
    if _ITEM.match(lines[0]):
        return _items(page, lines, language, unread)
    own = [lines[0]]
    for line in lines[1:]:
        whole = len(own[-1]) > _LONGEST_BROKEN_LINE and _ENDS.search(own[-1])
        begins_list = _ENDS.search(own[-1]) and _ITEM.match(line)
        if whole or begins_list:
            break
        own.append(line)
    said = inline.with_formulas(_unbroken("\n".join(own)), language, unread)
    _add(page, Block("paragraph", (clean(said),)))
    return lines[len(own) :]


def _unbroken(text: str) -> str:
    """A text without the hyphens at which words were broken; in most there are none."""
    return _HYPHEN.sub("", text) if "-\n" in text else text


def _is_chapter(line: str) -> bool:
    line = line.strip()
    if len(line) > 100 or not has_word(line):
        return False
    capitals = line.upper() == line and line.lower() != line and len(line) > 3
    return not _ENDS.search(line) and (capitals or _CHAPTER.fullmatch(line) is not None)


def _items(page: Page, lines: list[str], language: str | None, unread: list[str]) -> list[str]:
    items: list[str] = []
    for line in lines:
        began = _ITEM.match(line)
        if began:
            marker = f"{began['number']}. " if began["number"] else ""
            items.append(marker + line[began.end() :])
        else:
            items[-1] += f"\n{line}"
    said = [clean(inline.with_formulas(_unbroken(item), language, unread)) for item in items]
    parts = tuple(ended(item) for item in said if has_word(item))
    if parts and page.blocks and page.blocks[-1].kind == "list":
        # Items with empty lines between them are one list.
        page.blocks[-1] = Block("list", page.blocks[-1].parts + parts)
    else:
        _add(page, Block("list", parts))
    return []


def _add(page: Page, block: Block) -> None:
    if any(has_word(part) for part in block.parts):
        page.blocks.append(block)
