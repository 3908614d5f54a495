"""The images of an imported course: stored with it, before it, and kept for as long as it has them."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from models import curricula_changes, curriculum_assets, imports
from models.curriculum_assets import NewAsset
from models.db import Database
from models.files import GRACE_SECONDS
from models.imports import KIND
from models.jobs.tables import Job
from tasks import lapses, run, sweep_files, upkeep
from tasks.process import Process
from tasks.sweeps import Ground
from tests import making
from tests.images import SVG, png
from tests.standing_in import zipped
from tests.tasks.importing import Death, around, cancel, courses, die, left, send, start, taken
from workers.importers import pictures

pytestmark = pytest.mark.usefixtures("outside")

PAGE = (
    "# A course\n\nThis text is in the public domain. It is about ships.\n\n"
    "![A ship](images/ship.png)\n\n![A plan](images/plan.svg)\n\n![Broken](images/none.png)\n"
)
SHIP, PLAN = png(1), SVG
FILES = {"course/page.md": PAGE, "course/images/ship.png": SHIP, "course/images/plan.svg": PLAN}
FILES |= {"course/images/none.png": b"no image", "course/images/unseen.png": png(2)}


@pytest.fixture(autouse=True)
def own_store(process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of the test's own."""
    monkeypatch.setattr(process, "files", type(process.files)(tmp_path / "files"))


def begin(database: Database, folders: imports.Folders, files: dict[str, str | bytes] = FILES, **params: object) -> Job:
    """An import of these files."""
    return start(database, "file", send(folders, zipped(files), "course.zip"), **params)


def name(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def rows(database: Database, course: str) -> dict[str, tuple[str, str, int]]:
    """File, media type and size of each image of a course."""
    with database.transaction() as session:
        found = [curriculum_assets.find(session, course, path) for path in curriculum_assets.paths(session, course)]
    return {each.path: (each.file_name, each.media_type, each.size_bytes) for each in found if each is not None}


def stored(process: Process) -> set[str]:
    """Every file in the store."""
    root = process.files.path("0" * 64).parents[1]
    return {path.name for path in root.rglob("*") if path.is_file()}


WHOLE = {
    "course/images/ship.png": (name(SHIP), "image/png", len(SHIP)),
    "course/images/plan.svg": (name(PLAN), "image/svg+xml", len(PLAN)),
}


def test_the_images_that_a_course_shows_are_stored_with_it(
    database: Database, process: Process, folders: imports.Folders
) -> None:
    job = taken(database, begin(database, folders))
    assert (job.state, job.error_message) == ("succeeded", None)
    (course,) = courses(database)
    assert rows(database, course.id) == WHOLE
    assert stored(process) == {name(SHIP), name(PLAN)}
    assert process.files.path(name(SHIP)).read_bytes() == SHIP
    assert job.result is not None
    assert (job.result["image_count"], job.result["asset_count"]) == (2, 3)
    assert [note for note in job.result["notes"] if "left out: course/images/none.png" in note]
    assert left(folders) == set()


def test_a_preview_counts_images_and_stores_none(
    database: Database, process: Process, folders: imports.Folders
) -> None:
    job = taken(database, begin(database, folders, dry_run=True))
    assert (job.state, stored(process), left(folders)) == ("succeeded", set(), set())
    assert job.result is not None
    assert (job.result["image_count"], job.result["asset_count"]) == (2, 3)


def test_a_course_that_is_imported_again_has_the_images_of_the_last_time(
    database: Database, process: Process, folders: imports.Folders
) -> None:
    taken(database, begin(database, folders))
    (course,) = courses(database)
    newer = png(7)
    changed = FILES | {"course/images/ship.png": newer, "course/page.md": PAGE.replace("plan.svg", "unseen.png")}
    job = taken(database, begin(database, folders, changed, curriculum_id=course.id))
    assert job.state == "succeeded"
    assert rows(database, course.id) == {
        "course/images/ship.png": (name(newer), "image/png", len(newer)),
        "course/images/unseen.png": (name(png(2)), "image/png", len(png(2))),
    }


def exported(course: str, *, shown: list[dict[str, object]]) -> str:
    """What an export of the course says."""
    topic = {"title": "A course", "segments": ["It is about ships."], "assets": shown}
    return json.dumps({"id": course, "title": "A course", "license": "Public domain", "content": [topic]})


SHOWN: list[dict[str, object]] = [
    {"kind": "image", "target": "course/images/ship.png", "text": "A ship"},
    {"kind": "image", "target": "https://example.org/a.png", "text": ""},
    {"kind": "link", "target": "course/images/plan.svg", "text": "A plan"},
]


def test_an_export_that_is_imported_onto_its_course_leaves_it_the_images_that_it_shows(
    database: Database, process: Process, folders: imports.Folders
) -> None:
    taken(database, begin(database, folders))
    (course,) = courses(database)
    sent = send(folders, exported(course.id, shown=SHOWN), "course.json")
    job = taken(database, start(database, "file", sent, curriculum_id=course.id, accept_license=True))
    assert (job.state, job.error_message) == ("succeeded", None)
    kept = "course/images/ship.png"
    assert rows(database, course.id) == {kept: WHOLE[kept]}
    assert job.result is not None
    assert "No image is in an export: of 1 that its topics show" in " ".join(job.result["notes"])


def test_of_an_export_without_images_nothing_is_said(database: Database, folders: imports.Folders) -> None:
    sent = send(folders, exported("any", shown=SHOWN[1:]), "course.json")
    job = taken(database, start(database, "file", sent, accept_license=True))
    assert job.result is not None
    assert "export" not in " ".join(job.result["notes"])


@pytest.mark.parametrize("point", ["images written", "in the middle of the store", "files stored", "rows written"])
def test_images_survive_a_kill_at_any_point_and_are_stored_once(
    database: Database, process: Process, folders: imports.Folders, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    job = begin(database, folders)
    put, count = process.files.put, iter(range(9))

    def put_one(content: bytes) -> str:
        return put(content) if next(count) == 0 else die()

    with monkeypatch.context() as doomed:
        if point == "images written":
            around(doomed, "generate", before=die)
        elif point == "in the middle of the store":
            doomed.setattr(process.files, "put", put_one)
        elif point == "files stored":
            doomed.setattr(imports, "store", lambda *_, **__: die())
        else:
            doomed.setattr(run.units, "finish", lambda *_, **__: die())
        with pytest.raises(Death):
            run.run_slice(KIND, job.id)
    before = {"images written": 0, "in the middle of the store": 1}.get(point, 2)
    assert (len(stored(process)), courses(database)) == (before, [])
    images = folders.of_job(job.id) / "images"
    written = {path.name: path.stat().st_mtime_ns for path in images.iterdir()}
    assert set(written) == {name(SHIP), name(PLAN)}
    # What no row points to yet must outlive the sweeps between the two workers.
    upkeep.trim_cache()
    sweep(process)
    lapses.take_back(process, node=process.node)
    job = taken(database, job)
    assert (job.state, job.attempts) == ("succeeded", 2)
    (course,) = courses(database)
    assert rows(database, course.id) == WHOLE
    assert stored(process) == {name(SHIP), name(PLAN)}
    assert left(folders) == set()


def test_an_image_whose_file_was_swept_between_two_workers_is_stored_again(
    database: Database, process: Process, folders: imports.Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = begin(database, folders)
    with monkeypatch.context() as doomed:
        doomed.setattr(imports, "store", lambda *_, **__: die())
        with pytest.raises(Death):
            run.run_slice(KIND, job.id)
    age(process)
    sweep(process)
    assert stored(process) == set()
    lapses.take_back(process, node=process.node)
    assert taken(database, job).state == "succeeded"
    assert stored(process) == {name(SHIP), name(PLAN)}


def sweep(process: Process) -> None:
    """Removes what a cleanup removes of the store."""
    ground = Ground(process, now=time.time(), failed=pytest.fail)
    for find in (sweep_files.without_rows, sweep_files.drafts):
        for candidate in find(ground):
            candidate.remove()


def age(process: Process) -> None:
    """Makes every file in the store older than its grace."""
    long_ago = time.time() - GRACE_SECONDS - 60
    for each in stored(process):
        os.utime(process.files.path(each), (long_ago, long_ago))


def test_a_file_goes_when_the_last_course_that_has_it_is_gone_and_no_sooner(
    database: Database, process: Process, folders: imports.Folders
) -> None:
    taken(database, begin(database, folders))
    (course,) = courses(database)
    other = making.course(database, ["Two."])
    with database.transaction() as session:
        ship = NewAsset("the same.png", name(SHIP), "image/png", len(SHIP))
        curriculum_assets.replace(session, other, [ship])

    def swept() -> set[str]:
        age(process)
        sweep(process)
        return stored(process)

    assert swept() == {name(SHIP), name(PLAN)}
    for gone, remaining in ((course.id, {name(SHIP)}), (other, set())):
        with database.transaction() as session:
            curricula_changes.remove(session, gone, force=False)
        assert swept() == remaining


@pytest.mark.parametrize("stage", ["generate", "store"])
def test_a_cancel_among_the_images_stores_nothing_and_leaves_nothing(
    database: Database,
    process: Process,
    folders: imports.Folders,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    job = begin(database, folders)
    # Told of every step, as one that takes long is.
    monkeypatch.setattr(run, "REPORT_SECONDS", -1.0)
    owner, function = {"generate": (pictures, "media_type"), "store": (process.files, "put")}[stage]
    real, seen = getattr(owner, function), []

    def cancelled(content: bytes) -> object:
        seen.append(content)
        cancel(database, job)
        return real(content)

    monkeypatch.setattr(owner, function, cancelled)
    job = taken(database, job)
    assert (job.state, courses(database)) == ("cancelled", [])
    # What was sent stays for a while, for whoever tries again.
    assert left(folders) == {job.params["asked"]["upload"]}
    # The first is cancelled after, and there is no second.
    assert len(seen) == 1
