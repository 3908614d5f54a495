"""Pages to blocks: what is said of each hard thing, and what is left out."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.importers import html_blocks, text_blocks
from workers.importers.blocks import Page, clean
from workers.importers.outline import Asset

PAGES = Path(__file__).parent / "pages"


def told(page: Page) -> list[str]:
    """Each part of each block after the block's kind."""
    lines = [f"{block.kind}{block.level or ''}: {part}" for block in page.blocks for part in block.parts or ("(code)",)]
    lines += [f"-- {asset.kind} {asset.target}" for _, asset in page.assets]
    return lines + [f"-- note {note}" for note in page.notes]


def cases() -> list[tuple[str, str, str]]:
    """From each file of cases: its name, what stands before ``----``, and what comes of it."""
    found = []
    for path in sorted(PAGES.glob("*.txt")):
        for case in path.read_text(encoding="utf-8").split("\n==== ")[1:]:
            name, _, rest = case.partition("\n")
            before, _, after = rest.partition("\n----\n")
            found.append((f"{path.stem}: {name.strip('= ')}", before, after.strip("\n")))
    return found


def read(kind: str, written: str) -> Page:
    if kind == "markdown":
        return text_blocks.read_markdown(written)
    return text_blocks.read_text(written) if kind == "text" else html_blocks.read(written)


@pytest.mark.parametrize(("written", "expected"), [case[1:] for case in cases()], ids=[case[0] for case in cases()])
def test_each_hard_thing_is_read_as_its_case_says(written: str, expected: str, request: pytest.FixtureRequest) -> None:
    kind = request.node.callspec.id.partition(":")[0]
    assert "\n".join(told(read(kind, written))) == expected


def test_there_are_cases_of_each_kind() -> None:
    kinds = [name.partition(":")[0] for name, _, _ in cases()]
    assert min(kinds.count(kind) for kind in ("html", "markdown", "text")) >= 5


def test_what_nobody_sees_is_taken_out() -> None:
    assert (
        clean("Donau\u00addampf\u200bschiff\u00a0fährt\u202f5\u2009km\ufeff \ufb01n")
        == "Donaudampfschiff fährt 5 km fin"
    )


def test_the_joiner_of_persian_stays() -> None:
    assert clean("می\u200cخواهم") == "می\u200cخواهم"


def test_a_page_says_which_language_it_is_in() -> None:
    assert html_blocks.read('<html lang="de-AT"><p>Wort').language == "de-AT"


def test_a_page_that_is_nested_as_deep_as_can_be_is_read_or_noted() -> None:
    page = html_blocks.read("<div>" * 1_000 + "inside" + "</div>" * 1_000)
    assert told(page) == ["paragraph: inside"]
    deeper = html_blocks.read("<p>before</p>" + "<div>" * 100_000 + "inside")
    assert told(deeper)[0] == "paragraph: before"
    assert deeper.notes == ["The page is nested too deep; what is deeper is left out."]


@pytest.mark.parametrize(
    "markup", ["", " ", "<!-- nothing -->", "<?xml version='1.0'?>", "\x00", "<", "</p>", "\ud800"]
)
def test_a_page_of_nothing_has_no_blocks(markup: str) -> None:
    assert [block for block in html_blocks.read(markup).blocks if block.text != "<"] == []


def test_an_asset_knows_before_which_block_it_was_met() -> None:
    page = html_blocks.read(
        '<p>One <a href="a.html">a</a>.</p><ul><li>Two</li><li><a href="b.html">b</a></li></ul><h2>C</h2>'
        '<p><img src="c.png" alt="">Three</p>'
    )
    assert [at for at, _ in page.assets] == [0, 1, 3]
    assert page.assets[1] == (1, Asset("link", "b.html", "b"))


@given(st.text(alphabet="<>/=\"' abdhilopsuvtr1$\\(){}^_[]\n&;", max_size=300))
def test_no_page_whatever_makes_reading_fail(markup: str) -> None:
    for reader in (html_blocks.read, text_blocks.read_markdown, text_blocks.read_text):
        for block in reader(markup).blocks:
            assert block.kind == "code" or all(any(map(str.isalnum, part)) for part in block.parts)


WORDS = st.lists(st.text(alphabet="abcdefghij", min_size=1, max_size=8), min_size=1, max_size=20)


@given(
    st.lists(st.tuples(st.sampled_from(["p", "li", "h2", "blockquote", "td", "div", "dd", "b"]), WORDS), max_size=20)
)
def test_no_word_of_a_plain_page_is_lost_or_made_up(parts: list[tuple[str, list[str]]]) -> None:
    around = {"li": "<ul>{}</ul>", "td": "<table><tr>{}<td>x</td></tr></table>", "dd": "<dl>{}</dl>"}
    markup = " ".join(around.get(tag, "{}").format(f"<{tag}>{' '.join(words)}</{tag}>") for tag, words in parts)
    said = " ".join(block.text for block in html_blocks.read(markup).blocks)
    expected = [word for tag, words in parts for word in [*words, *(["x"] if tag == "td" else [])]]
    assert said.replace(".", " ").replace(":", " ").split() == expected


def test_a_megabyte_of_html_is_read_in_about_a_second() -> None:
    line = "<p>Hello <b>world</b>, <a href='x.html'>a link</a> and x<sup>2</sup>.</p><ul><li>One<li>Two</ul>\n"
    table = "<table><tr><th>A<th>B<th>C</tr>" + "<tr><td>1<td>2<td>3</tr>" * 20 + "</table>"
    markup = (line * 50 + table) * (1_000_000 // len(line * 50 + table))
    started = time.process_time()
    page = html_blocks.read(markup)
    # About 0.9 s where nothing else runs; the machine of a test may be slow.
    assert time.process_time() - started < 5
    assert len(page.blocks) > 15_000


@pytest.mark.slow
def test_a_megabyte_of_markdown_is_read_in_seconds() -> None:
    part = "## Heading\n\nSome *words* with [a link](x.md) and $x^2$.\n\n- one\n- two\n\n"
    started = time.process_time()
    page = text_blocks.read_markdown(part * (1_000_000 // len(part)))
    # About 3 s where nothing else runs: markdown-it-py takes most of them.
    assert time.process_time() - started < 30
    assert len(page.blocks) > 30_000


def test_time_grows_with_the_length_only() -> None:
    hard = [
        "<div class='nav'>" * 1_900 + "<math><mi>x</mi></math>",
        "<a href='#x'>" * 20_000,
        "<table><tr><td>" * 600 + "x",
        "$a" * 50_000,
        "\\(" * 50_000,
        "[" * 100_000,
        "<sup>" * 1_900 + "1",
        "<ul><li>" * 900 + "x",
        "<math>" + "<mrow>" * 1_900 + "<mi>x</mi>",
        "{" * 20_000,
        "word " * 40_000,
        "<p>word " + "[edit] " * 100_000,
    ]
    for markup in hard:
        started = time.process_time()
        html_blocks.read(markup)
        assert time.process_time() - started < 5, markup[:30]
