"""Books: what is read of EPUB 2 and 3, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.importers import building
from workers.errors import BadInput


def test_an_epub_3_gives_its_pages_under_the_titles_of_its_contents(tmp_path: Path) -> None:
    draft = building.read(building.zipped(tmp_path / "tides.epub", building.epub_3()))
    assert building.outline(draft) == [
        (1, "1. Summer tides"),
        (1, "Part Two"),
        (2, "2. Currents"),
        (3, "2.1 Warm ones"),
        (1, "The map"),
    ]
    summer, part, currents, warm, _ = draft.sections
    assert summer.path == "OEBPS/Text/Chapter 1 été.xhtml"
    assert "The moon pulls." in summer.content
    assert part.content == ""
    assert "Water flows" in currents.content
    assert "Gulf" not in currents.content
    assert warm.content.startswith('<section id="b"><h2>Warm ones')
    assert warm.content.endswith("<p>It goes on to the north.</p>")


def test_what_project_gutenberg_puts_around_a_book_is_its_licence_and_no_text(tmp_path: Path) -> None:
    around = '<section class="pg-boilerplate pgheader" id="pg-{0}" lang="en">{1}</section>'
    head = around.format(
        "header",
        '<h2 id="pg-header-heading">The Project Gutenberg eBook of Tides</h2><div>This ebook is for the use of anyone '
        'anywhere, under the terms of the Project Gutenberg License.</div><section id="pg-machine-header"><p><strong>'
        "Title</strong>: Tides</p></section><div>*** START OF THE PROJECT GUTENBERG EBOOK TIDES ***</div>",
    )
    foot = around.format("footer", "<div>*** END OF THE PROJECT GUTENBERG EBOOK ***</div><p>Not a word of it.</p>")
    files = building.epub_3()
    files["OEBPS/Text/Chapter 1 été.xhtml"] = building.xhtml("1", f"{head}<h1>Summer</h1><p>The moon pulls.</p>")
    files["OEBPS/map.xhtml"] = building.xhtml("2", foot)
    draft = building.read(building.zipped(tmp_path / "tides.epub", files))
    spoken = "".join(section.content for section in draft.sections)
    assert "The moon pulls." in spoken
    assert not any(words in spoken for words in ("Gutenberg", "Title", "Not a word"))
    assert draft.licence_texts[-1] == (
        "This ebook is for the use of anyone anywhere, under the terms of the Project Gutenberg License."
    )
    assert any("Project Gutenberg puts around" in note for note in draft.notes)


def test_an_index_made_by_a_machine_is_passed_over(tmp_path: Path) -> None:
    files = {
        name.replace("map.xhtml", "genindex.xhtml"): each.replace("map.xhtml", "genindex.xhtml")
        if isinstance(each, str)
        else each
        for name, each in building.epub_3().items()
    }
    draft = building.read(building.zipped(tmp_path / "tides.epub", files))
    assert "OEBPS/genindex.xhtml" not in [section.path for section in draft.sections]
    assert any("genindex.xhtml" in note for note in draft.notes)


def test_an_epub_3_says_what_it_is_and_what_was_passed_over(tmp_path: Path) -> None:
    draft = building.read(building.zipped(tmp_path / "tides.epub", building.epub_3()))
    assert (draft.title, draft.language, draft.authors) == ("Tides & Currents", "en-GB", ["Ada Marsh", "Ben Shoal"])
    assert draft.description == "How the sea moves."
    assert draft.licence_texts == [
        "Copyright 2020 Ada Marsh",
        "https://creativecommons.org/licenses/by/4.0/",
        "This work is under CC BY 4.0.",
    ]
    notes = "\n".join(draft.notes)
    for passed in ("OEBPS/cover.xhtml", "OEBPS/nav.xhtml", "OEBPS/Text/notes.xhtml", "Text/gone.xhtml"):
        assert passed in notes
    spoken = "".join(section.content for section in draft.sections)
    assert "the cover" not in spoken
    assert "beside the text" not in spoken
    assert draft.files is not None
    assert draft.files.read("OEBPS/Images/wave.png", most=100).startswith(b"\x89PNG")


def test_an_epub_2_is_cut_where_its_ncx_leads(tmp_path: Path) -> None:
    draft = building.read(building.zipped(tmp_path / "buch.epub", building.epub_2()))
    assert (draft.title, draft.language, draft.authors) == ("Die Gezeiten", "de", ["Jürgen Watt"])
    assert draft.licence_texts == ["Public domain"]
    assert building.outline(draft) == [(1, "Buch"), (1, "Ebbe"), (2, "Watt"), (1, "Flut")]
    contents = [section.content for section in draft.sections]
    assert "Vorwort" in contents[0]
    assert contents[1] == "<h1 id='ebbe'>Ebbe</h1><p>Das Wasser geht.</p>"
    assert contents[3].startswith('<h1><a name="flut">Flut</a></h1>')


def test_a_page_that_goes_on_with_a_heading_of_its_own_lies_one_deeper(tmp_path: Path) -> None:
    more = building.xhtml("Tides and Currents", "<h3>Cold ones</h3><p>It goes on to the north.</p>")
    files = building.epub_3() | {"OEBPS/Text/two_more.xhtml": more}
    draft = building.read(building.zipped(tmp_path / "tides.epub", files))
    assert building.outline(draft)[3:5] == [(3, "2.1 Warm ones"), (4, "Cold ones")]


def test_a_book_without_contents_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    files = building.epub_2() | {"toc.ncx": building.NCX.replace("navPoint", "other")}
    draft = building.read(building.zipped(tmp_path / "buch.epub", files))
    assert building.outline(draft) == [(1, "Ebbe")]
    assert any("no table of contents" in note for note in draft.notes)


def test_a_link_out_of_the_book_leads_nowhere(tmp_path: Path) -> None:
    files = building.epub_2()
    files["package.opf"] = building.OPF_2.replace("Buch.HTML", "../../etc/passwd").encode("utf-16")
    with pytest.raises(BadInput) as refused:
        building.read(building.zipped(tmp_path / "buch.epub", files))
    assert refused.value.code == "empty_course"


def test_a_landmark_without_a_link_is_passed_over(tmp_path: Path) -> None:
    nav = building.NAV_3.replace('<a epub:type="cover" href="cover.xhtml">', '<a epub:type="cover">')
    draft = building.read(building.zipped(tmp_path / "tides.epub", building.epub_3() | {"OEBPS/nav.xhtml": nav}))
    assert building.outline(draft)[0] == (1, "Cover")
