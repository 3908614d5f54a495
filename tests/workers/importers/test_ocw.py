"""Courses of MIT OpenCourseWare in both layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.importers import building


@pytest.mark.parametrize("root", ["", "8.03-fall-2022/"])
def test_the_present_layout_gives_the_pages_of_its_menu(tmp_path: Path, root: str) -> None:
    draft = building.read(building.zipped(tmp_path / "waves.zip", building.ocw(root)))
    assert (draft.title, draft.description) == ("Waves", "Waves everywhere.")
    assert draft.authors == ["Prof. Dora Swell", "Dr. Emil T Ripple"]
    assert building.outline(draft) == [(1, "Syllabus"), (1, "Readings"), (2, "Week 1"), (1, "Calendar")]
    assert draft.sections[0].content == "<h3>Course meeting times</h3><p>Twice a week.</p>"
    assert draft.sections[0].path == f"{root}pages/syllabus/index.html"


def test_a_page_without_words_is_read_from_the_data_beside_it(tmp_path: Path) -> None:
    draft = building.read(building.zipped(tmp_path / "waves.zip", building.ocw()))
    assert draft.sections[2].content == "Chapter one of Pain."


def test_the_licence_is_that_of_the_course_and_not_of_its_picture(tmp_path: Path) -> None:
    draft = building.read(building.zipped(tmp_path / "waves.zip", building.ocw()))
    assert draft.licence_texts == ["CC BY-NC-SA https://creativecommons.org/licenses/by-nc-sa/4.0/"]


def test_the_site_around_the_course_is_left_out(tmp_path: Path) -> None:
    draft = building.read(building.zipped(tmp_path / "waves.zip", building.ocw()))
    spoken = "".join(section.content for section in draft.sections)
    assert "Download" not in spoken
    assert "About OCW" not in spoken
    assert "Resources were passed over, their pages are not read aloud: 1 of kind Video." in draft.notes


def test_the_old_layout_is_read_by_its_menu(tmp_path: Path) -> None:
    draft = building.read(building.zipped(tmp_path / "optics.zip", building.ocw_legacy(manifest=False)))
    assert (draft.title, draft.description, draft.authors) == ("Optics", "Light and glass.", ["Fay Lens"])
    assert building.outline(draft) == [(1, "Syllabus"), (1, "Lenses"), (2, "Thin lenses")]
    assert draft.sections[2].content == "<h1>Thin lenses</h1><p>One over f — café.</p>"
    assert any("cp1252" in note and "thin.htm" in note for note in draft.notes)
    assert "License https://creativecommons.org/licenses/by-nc-sa/4.0/" in draft.licence_texts


def test_the_old_layout_is_read_by_its_manifest_where_it_has_one(tmp_path: Path) -> None:
    draft = building.read(building.zipped(tmp_path / "optics.zip", building.ocw_legacy(manifest=True)))
    assert draft.title == "Optics I"
    assert building.outline(draft) == [(1, "Syllabus"), (1, "Lenses")]
    assert draft.sections[0].content == "<h1>Syllabus</h1><p>Four problem sets.</p>"
    assert draft.licence_texts[0] == "CC BY-NC-SA 3.0"


def test_pages_fetched_one_by_one_are_read_without_the_data_beside_them(tmp_path: Path) -> None:
    files = {name: content for name, content in building.ocw().items() if not name.endswith(".json")}
    files["index.html"] = f"<title>Waves | Physics | MIT OpenCourseWare</title>{files['index.html']}"
    draft = building.read(building.zipped(tmp_path / "pages.zip", files))
    assert draft.title == "Waves"
    assert building.outline(draft)[:2] == [(1, "Syllabus"), (1, "Readings")]


def test_a_folder_that_only_has_a_file_of_that_name_is_no_such_course(tmp_path: Path) -> None:
    files: dict[str, building.Content] = {"data.json": "{}", "pages/one.md": "# One\n\nx", "pages/two.md": "# Two\n\ny"}
    draft = building.read(building.zipped(tmp_path / "x.zip", files))
    assert building.outline(draft) == [(1, "Pages"), (2, "One"), (2, "Two")]
