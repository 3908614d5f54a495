"""Common Cartridges and what their manifests say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.importers import building


@pytest.mark.parametrize("version", ["1.1", "1.2", "1.3"])
def test_a_cartridge_gives_its_items_with_their_pages(tmp_path: Path, version: str) -> None:
    draft = building.read(building.zipped(tmp_path / "soils.imscc", building.cartridge(version)))
    assert (draft.title, draft.description, draft.language) == ("Soils", "What grows and why.", "en")
    assert draft.authors == ["Cleo Loam"]
    assert draft.licence_texts == ["CC Attribution Share Alike - http://creativecommons.org/licenses/by-sa/4.0"]
    assert building.outline(draft) == [
        (1, "Unit 1"),
        (2, "Sand"),
        (2, "What do you see?"),
        (1, "Unit 2"),
        (2, "Deeper"),
        (3, "Clay"),
    ]
    unit, sand, topic, *_, clay = draft.sections
    # A link is no lesson: it is said at the end of the page before it.
    assert unit.content == ""
    assert sand.content.endswith('<p><a href="https://example.org/soils?a=1&amp;b=2">A map of soils</a></p>')
    assert 'src="../web_resources/grain.png"' in sand.content
    assert topic.content == "<p>Look at <b>your</b> garden.</p>"
    assert "Clay holds water." in clay.content
    assert clay.path == "pages/clay.html"


def test_what_is_hidden_or_no_page_is_passed_over_and_said(tmp_path: Path) -> None:
    draft = building.read(building.zipped(tmp_path / "soils.imscc", building.cartridge()))
    assert "Secret" not in "".join(section.content for section in draft.sections)
    notes = "\n".join(draft.notes)
    assert "Hidden items were passed over: Answers, For teachers." in notes
    assert "imsqti_xmlv1p2/imscc_xmlv1p3/assessment): Quiz." in notes
    assert "pages/lost.html" in notes
    assert "(webcontent): Slides." in notes
    assert "there before were passed over: pages/sand and silt.html." in notes


def test_a_cartridge_in_a_folder_of_its_own_is_found(tmp_path: Path) -> None:
    files = {f"export/{name}": content for name, content in building.cartridge().items()}
    draft = building.read(building.zipped(tmp_path / "soils.zip", files))
    assert draft.sections[1].path == "export/pages/sand and silt.html"


def test_a_manifest_without_an_order_gives_its_pages_as_listed(tmp_path: Path) -> None:
    manifest = str(building.cartridge()["imsmanifest.xml"])
    start, end = manifest.index("<organizations>"), manifest.index("<resources>")
    files = building.cartridge() | {"imsmanifest.xml": manifest[:start] + "<organizations/>" + manifest[end:]}
    draft = building.read(building.zipped(tmp_path / "soils.imscc", files))
    assert [section.path for section in draft.sections] == [
        "pages/sand and silt.html",
        "pages/answers.html",
        "pages/clay.html",
    ]
    assert any("no order" in note for note in draft.notes)


def test_a_manifest_in_another_encoding_than_it_says_is_repaired_and_noted(tmp_path: Path) -> None:
    manifest = str(building.cartridge()["imsmanifest.xml"]).replace("Soils", "Böden").encode("cp1252")
    draft = building.read(
        building.zipped(tmp_path / "soils.imscc", building.cartridge() | {"imsmanifest.xml": manifest})
    )
    assert draft.title == "Böden"
    assert any("Encoding repaired" in note and "imsmanifest.xml" in note for note in draft.notes)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (["link", "page"], [("Unit", ""), ("Page", "<p>Words.</p>{link}")]),
        (["page", "link", "page 2"], [("Unit", ""), ("Page", "<p>Words.</p>{link}"), ("Page 2", "<p>More.</p>")]),
        (["link"], [("Unit", "{link}")]),
        (["quiz", "link"], [("Unit", ""), ("", "{link}")]),
    ],
)
def test_a_link_is_kept_with_a_page_of_its_item(tmp_path: Path, order: list[str], said: list[tuple[str, str]]) -> None:
    items = "".join(f'<item identifierref="{name}"><title>{name.capitalize()}</title></item>' for name in order)
    manifest = (
        f"<manifest><organizations><organization><item><item><title>Unit</title>{items}</item></item></organization>"
        '</organizations><resources><resource identifier="page" type="webcontent" href="page.html"/>'
        '<resource identifier="page 2" type="webcontent" href="more.html"/>'
        '<resource identifier="quiz" type="imsqti_xmlv1p2/x" href="quiz.xml"/>'
        '<resource identifier="link" type="imswl_xmlv1p1" href="link.xml"/></resources></manifest>'
    )
    files: dict[str, building.Content] = {
        "imsmanifest.xml": manifest,
        "page.html": "<p>Words.</p>",
        "more.html": "<p>More.</p>",
        "quiz.xml": "<x/>",
        "link.xml": '<webLink><title>There</title><url href="https://example.org/"/></webLink>',
    }
    draft = building.read(building.zipped(tmp_path / "links.imscc", files))
    link = '<p><a href="https://example.org/">Link</a></p>'
    assert [(each.title, each.content) for each in draft.sections] == [
        (title, content.format(link=link)) for title, content in said
    ]
