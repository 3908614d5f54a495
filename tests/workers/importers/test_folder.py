"""Folders of pages and lone pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.importers import building

BOOK: dict[str, building.Content] = {
    "README.md": "---\ntitle: Botany\nauthors: [Gus Leaf, Hanna Root]\nlang: en\nlicense: CC BY 4.0\n---\n"
    "# Botany\n\nPlants.",
    "LICENSE.txt": "Creative Commons Attribution 4.0",
    "02-roots/README.md": "# Roots\n\nBelow ground.",
    "02-roots/10-deep.md": "# Deep **roots**\n\nDown.",
    "02-roots/2-flat.md": "No heading here.",
    "01_leaves/green.html": "<title>Green</title><p>Chlorophyll.</p>",
    "01_leaves/dry.txt": "Autumn\n\nThey fall.",
    "01_leaves/later.md": "---\ndraft: true\n---\n# Later",
    "img/leaf.png": b"\x89PNG",
    ".git/notes.md": "# Hidden",
    "node_modules/x/readme.md": "# Package",
    "CONTRIBUTING.md": "# How to help",
}


@pytest.mark.parametrize("root", ["", "botany-main/"])
def test_a_folder_gives_its_pages_in_the_order_of_their_numbers(tmp_path: Path, root: str) -> None:
    files = {root + name: content for name, content in BOOK.items()}
    draft = building.read(building.zipped(tmp_path / "botany.zip", files))
    assert (draft.title, draft.authors, draft.language) == ("Botany", ["Gus Leaf", "Hanna Root"], "en")
    assert draft.licence_texts == ["Creative Commons Attribution 4.0", "CC BY 4.0"]
    assert building.outline(draft) == [
        (1, "Botany"),
        (1, "Leaves"),
        (2, "Autumn"),
        (2, "Green"),
        (1, "Roots"),
        (2, "Flat"),
        (2, "Deep roots"),
    ]
    assert [section.media for section in draft.sections[2:4]] == ["text", "html"]
    assert draft.sections[0].content == "# Botany\n\nPlants."
    assert any("Drafts were passed over" in note and "later.md" in note for note in draft.notes)


def test_a_plain_folder_is_read_as_its_zip_would_be(tmp_path: Path) -> None:
    draft = building.read(building.spread(tmp_path / "botany", BOOK))
    packed = building.read(building.zipped(tmp_path / "botany.zip", BOOK))
    assert (draft.title, draft.sections) == (packed.title, packed.sections)


def test_a_summary_gives_the_order_and_the_parts(tmp_path: Path) -> None:
    summary = (
        "# Summary\n\n[Preface](README.md)\n\n- [Deep ones](02-roots/10-deep.md)\n"
        "    - [Flat `ones`](./02-roots/2-flat.md)\n"
        "- [Soon]()\n- [Lost](lost.md)\n\n# Above\n\n- [Green](01_leaves/green.html)\n"
    )
    draft = building.read(building.zipped(tmp_path / "botany.zip", BOOK | {"SUMMARY.md": summary}))
    assert building.outline(draft) == [(1, "Deep ones"), (2, "Flat ones"), (1, "Soon"), (1, "Above"), (2, "Green")]
    notes = "\n".join(draft.notes)
    assert "not there: lost.md." in notes
    assert "01_leaves/dry.txt" in notes


def test_pages_with_a_weight_stand_where_it_says(tmp_path: Path) -> None:
    pages = {"a.md": "---\nweight: 2\n---\n# A\n\nx", "b.md": "---\nweight: 1\n---\n# B\n\ny", "c.md": "# C\n\nz"}
    draft = building.read(building.zipped(tmp_path / "weights.zip", pages))
    assert building.outline(draft) == [(1, "B"), (1, "A"), (1, "C")]
    assert draft.title == "Weights"


@pytest.mark.parametrize(
    ("name", "content", "media_type", "media", "title"),
    [
        ("notes", "# Cells\n\nSmall *things*.\n\n- one\n- two\n", None, "markdown", "Cells"),
        ("notes.md", "Just words.", None, "markdown", "Notes"),
        ("notes", "Just words.", "text/markdown; charset=utf-8", "markdown", "Notes"),
        ("x.txt", "Cells\n\nThey are * small.\n", "text/plain", "text", "Cells"),
        ("page", "<!-- saved --><!DOCTYPE html><title>Cells</title><p>Small.", None, "html", "Cells"),
        ("page.txt", "<html><body><h1>Cells</h1><p>Small.</body>", None, "html", "Cells"),
        ("part.html", "<p>Small <b>things</b></p>", None, "html", "Part"),
        ("brackets.txt", "[1] Small things, see below.", None, "text", "[1] Small things, see below."),
    ],
)
def test_a_lone_page_is_known_by_what_is_in_it(
    tmp_path: Path, name: str, content: str, media_type: str | None, media: str, title: str
) -> None:
    path = building.spread(tmp_path, {"upload": content}) / "upload"
    draft = building.read(path, name=name, media_type=media_type)
    assert draft.title == title
    [section] = draft.sections
    assert (section.media, section.content) == (media, content)


def test_a_lone_page_says_who_wrote_it_and_how_it_may_be_used(tmp_path: Path) -> None:
    page = (
        '<html lang="fr"><head><title>Les cellules</title><meta name="author" content="Inès Noyau">'
        '<meta name="description" content="De petites choses."><link rel="license" href="https://example.org/l"></head>'
        "<body><p>Petites.</p></body></html>"
    )
    draft = building.read(building.spread(tmp_path, {"c.html": page}) / "c.html")
    assert (draft.title, draft.language, draft.authors) == ("Les cellules", "fr", ["Inès Noyau"])
    assert (draft.description, draft.licence_texts) == ("De petites choses.", ["https://example.org/l"])


def page(title: str, *links: str) -> str:
    """A page of HTML that leads to others."""
    listed = "".join(f"<li><a href='{link}'>{link}</a></li>" for link in links)
    return f"<html><body><h1>{title}</h1><p>Text of {title}.</p><ul>{listed}</ul></body></html>"


def titles(folder: Path, files: dict[str, building.Content]) -> list[str]:
    draft = building.read(building.zipped(folder / "book.zip", files))
    return [section.title for section in draft.sections if section.content]


LINKS = ("zeal.html#top", "apple.html", "part/b.html", "http://elsewhere/", "part/a.html", "apple.html", "gone.html")
LINKS += ("part/c.html",)


@pytest.mark.parametrize("listing", ["index.html", "start.html"])
def test_a_book_of_html_is_in_the_order_of_the_page_that_lists_its_pages(tmp_path: Path, listing: str) -> None:
    names = ("apple", "left", "zeal", "part/a", "part/b", "part/c")
    files: dict[str, building.Content] = {f"{name}.html": page(name, listing) for name in names}
    files[listing] = page("Listing", *LINKS)
    # One that leads to most others as well, and to fewer.
    files["apple.html"] = page("apple", "zeal.html", "left.html", "part/c.html", listing)
    assert titles(tmp_path, files) == ["Listing", "zeal", "apple", "part/b", "part/a", "part/c", "left"]


def test_where_each_page_leads_to_all_others_their_names_are_their_order(tmp_path: Path) -> None:
    names = ("c", "a", "b")
    files: dict[str, building.Content] = {
        f"{name}.html": page(name, *(f"{each}.html" for each in names)) for name in names
    }
    assert titles(tmp_path, files) == ["a", "b", "c"]


def test_a_page_that_leads_to_few_others_does_not_order_them(tmp_path: Path) -> None:
    files: dict[str, building.Content] = {f"{name}.html": page(name) for name in "abcd"}
    files["index.html"] = page("Listing", "d.html", "b.html")
    assert titles(tmp_path, files) == ["Listing", "a", "b", "c", "d"]


def test_pages_made_by_a_machine_for_looking_things_up_are_passed_over(tmp_path: Path) -> None:
    files: dict[str, building.Content] = {"one.html": page("One"), "search.html": page("Searching for truth")}
    files |= {name: page(name) for name in ("genindex.html", "py-modindex.html")}
    files["docs/search.html"] = (
        "<html><body><script src='_static/searchtools.js'></script><h1>Search</h1></body></html>"
    )
    assert titles(tmp_path, files) == ["One", "Searching for truth"]


def test_a_page_of_project_gutenberg_is_the_book_alone(tmp_path: Path) -> None:
    written = (
        '<div id="pg-header"><p>This eBook is for the use of anyone.</p><p>*** START OF THE BOOK ***</p></div>'
        "<h1>Tides</h1><p>The moon pulls.</p><section class='pg-boilerplate' id='pg-footer'><p>Terms.</p></section>"
    )
    draft = building.read(building.spread(tmp_path, {"tides.html": written}) / "tides.html")
    assert "The moon pulls." in draft.sections[0].content
    assert "START" not in draft.sections[0].content
    assert "Terms" not in draft.sections[0].content
    assert draft.licence_texts == ["This eBook is for the use of anyone."]
