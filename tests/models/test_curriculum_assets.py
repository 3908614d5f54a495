"""Images of courses: one at each path, gone with their course, known to the sweep."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from models import curricula_changes, curriculum_assets
from models.curriculum_assets import CurriculumAsset, NewAsset
from models.db import Database
from tests import making

ONE = NewAsset("a/one.png", "1" * 64, "image/png", 70)
TWO = NewAsset("zwei ü?.svg", "2" * 64, "image/svg+xml", 5_000_000_000)


@pytest.fixture
def course(database: Database) -> str:
    """A course that has both."""
    made = making.course(database, ["One."])
    give(database, made, ONE, TWO)
    return made


def give(database: Database, course: str, *assets: NewAsset) -> None:
    with database.transaction() as session:
        curriculum_assets.replace(session, course, assets)


def test_an_image_is_found_at_exactly_its_path_in_its_course(database: Database, course: str) -> None:
    other = making.course(database, ["Two."])
    with database.transaction() as session:
        found = curriculum_assets.find(session, course, TWO.path)
        assert found is not None
        assert {name: getattr(found, name) for name in vars(TWO)} == vars(TWO)
        for path in ("", "one.png", "a/ONE.png", "a/one.png/", "/a/one.png", "a/../a/one.png", "%", "x" * 5000):
            assert curriculum_assets.find(session, course, path) is None
        assert curriculum_assets.find(session, other, TWO.path) is None
        assert curriculum_assets.paths(session, course) == {ONE.path, TWO.path}
        assert curriculum_assets.paths(session, other) == set()


def test_the_images_of_a_course_are_replaced_whole_and_those_of_others_stay(database: Database, course: str) -> None:
    other = making.course(database, ["Two."])
    give(database, other, ONE)
    changed = NewAsset(ONE.path, "3" * 64, "image/gif", 3)
    give(database, course, changed)
    with database.transaction() as session:
        found = curriculum_assets.find(session, course, ONE.path)
        assert found is not None
        assert (found.file_name, found.media_type, found.size_bytes) == ("3" * 64, "image/gif", 3)
        assert curriculum_assets.paths(session, course) == {ONE.path}
        assert curriculum_assets.find(session, other, ONE.path) is not None
    give(database, course)
    with database.transaction() as session:
        assert curriculum_assets.paths(session, course) == set()


def test_a_file_is_known_as_long_as_some_course_has_it(database: Database, course: str) -> None:
    other = making.course(database, ["Two."])
    give(database, other, NewAsset("else.png", ONE.file_name, "image/png", 70))
    asked = [ONE.file_name, TWO.file_name, "3" * 64, f"{ONE.file_name}.12.34"]

    def known() -> set[str]:
        with database.transaction() as session:
            assert curriculum_assets.known_files(session, []) == set()
            return curriculum_assets.known_files(session, asked)

    assert known() == {ONE.file_name, TWO.file_name}
    give(database, course)
    assert known() == {ONE.file_name}
    give(database, other)
    assert known() == set()


def test_the_images_go_with_their_course(database: Database, course: str) -> None:
    with database.transaction() as session:
        curricula_changes.remove(session, course, force=False)
    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(CurriculumAsset)) == 0


def test_there_is_no_image_without_a_course(database: Database) -> None:
    with pytest.raises(IntegrityError):
        give(database, "none", ONE)


def test_the_sweep_finds_names_by_an_index(database: Database, course: str) -> None:
    with database.transaction() as session:
        session.execute(text("set local enable_seqscan = off"))
        asked = select(CurriculumAsset.file_name).where(CurriculumAsset.file_name.in_(["1" * 64, "2" * 64]))
        compiled = asked.compile(session.get_bind(), compile_kwargs={"render_postcompile": True})
        plan = session.connection().exec_driver_sql(f"explain {compiled}", compiled.params).scalars().all()
    assert "ix_curriculum_assets_file_name" in "\n".join(plan)
