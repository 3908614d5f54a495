"""Body of imports: six stages, each leaving what it made in the job's folder, so that the next worker goes on there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from models import curriculum_assets, imports
from models.curriculum_assets import NewAsset
from models.errors import Invalid, NotFound
from models.jobs import work as units
from tasks.folders import going_on_in
from tasks.run import Done, Work
from workers import memory
from workers.clients.http import Http
from workers.clients.whole_files import write_whole
from workers.errors import BadInput
from workers.importers import checking, enrich, formats, generate, pictures
from workers.importers.draft import Draft, Report, Section
from workers.importers.outline import Outline
from workers.importers.source import SOURCES, Fetched, Outside

# Where each stage begins on the bar; a download is what takes long.
BEGINS = dict(zip(imports.STAGES, (0.0, 0.3, 0.35, 0.6, 0.9, 0.95), strict=True))


def run(work: Work) -> Done:
    """A course from elsewhere (``params``: ``source``, ``asked``, ``title``, ``curriculum_id``, ...), stored or shown.

    Called again for one that goes on: with the first stage whose result is not there.
    """
    folder = imports.folders(work.process.settings.var_dir).of_job(work.job.id)
    with going_on_in(folder, work):
        return _Import(work, folder).through()


class _Import:
    def __init__(self, work: Work, folder: Path) -> None:
        self._work = work
        self._folder = folder
        self._params = work.params

    def through(self) -> Done:
        """Every stage that is not done yet, and what is to be stored at the end."""
        fetched = Fetched(**self._stage("download", self._download))
        checked = self._stage("validate", partial(self._validate, fetched))
        fetched.notes.extend(checking.notes(checked))
        told = self._stage("extract", partial(self._extract, fetched))
        enriched = self._stage("enrich", partial(self._enrich, fetched, told))
        # A large course need not be in memory as it was, and as it became.
        del told
        outline = Outline.from_json(enriched)
        made = self._stage("generate", partial(self._generate, outline, fetched))
        return self._store(made)

    def _stage(self, name: str, make: Callable[[Report], dict[str, Any]]) -> dict[str, Any]:
        """What the stage made, now or before this worker had the job: read from its file both times."""
        kept = self._folder / f"{name}.json"
        if not kept.exists():
            self._enter(name)
            begins, ends = BEGINS[name], BEGINS[imports.STAGES[imports.STAGES.index(name) + 1]]
            made = make(lambda share: self._work.report(begins + (ends - begins) * min(max(share, 0.0), 1.0), name))
            write_whole(kept, json.dumps(made))
            del made
            memory.give_back()
        found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return found

    def _enter(self, name: str) -> None:
        """Says which stage begins; of one that was cancelled, paused or taken over none does."""
        work = self._work
        work.process.database.persist(
            lambda session: units.report(session, work.job, progress=BEGINS[name], phase=name), durable=False
        )

    def _download(self, report: Report) -> dict[str, Any]:
        source = SOURCES[self._params["source"]]
        return source.load()(self._params["asked"], self._folder, self._outside(), report).as_json()

    def _validate(self, fetched: Fetched, report: Report) -> dict[str, Any]:
        return checking.check(self._folder / fetched.file, fetched.name, fetched.media_type, report)

    def _extract(self, fetched: Fetched, report: Report) -> dict[str, Any]:
        draft = formats.read(self._folder / fetched.file, fetched.name, fetched.media_type, report)
        # Field by field: files are no values, and a course of a megabyte need not be copied to be written.
        told = {name: value for name, value in vars(draft).items() if name not in ("files", "sections")}
        return told | {"sections": [vars(section) for section in draft.sections]}

    def _enrich(self, fetched: Fetched, told: dict[str, Any], report: Report) -> dict[str, Any]:
        sections = [Section(**section) for section in told["sections"]]
        files = checking.reopened(self._folder / fetched.file, fetched.name)
        draft = Draft(**told | {"sections": sections, "files": files})
        # A preview stores nothing, and is there to be read before the terms are accepted.
        accepted = self._params["accept_license"] or self._params["dry_run"]
        return enrich.enrich(draft, accept_license=accepted, report=report).as_json()

    def _generate(self, outline: Outline, fetched: Fetched, report: Report) -> dict[str, Any]:
        files = checking.reopened(self._folder / fetched.file, fetched.name)
        images, left_out = pictures.keep(outline.topics, files, self._images, lambda share: report(0.8 * share))
        outline.notes[:0] = fetched.notes
        outline.notes += left_out
        made = generate.generate(
            outline,
            title=self._params["title"],
            source={
                "source": self._params["source"],
                "url": fetched.url,
                "file": fetched.name or None,
                "title": outline.title or None,
            },
            report=lambda share: report(0.8 + 0.2 * share),
        )
        made["result"]["image_count"] = len(images)
        return made | {"images": images}

    def _store(self, made: dict[str, Any]) -> Done:
        job, dry_run, into = self._work.job, self._params["dry_run"], self._params["curriculum_id"]
        result: dict[str, Any] = {"curriculum_id": None, **made["result"]}
        if dry_run:
            result["outline"] = made["outline"]
        else:
            self._enter("store")
        images = [] if dry_run else self._put(made["images"])
        upload = self._params["asked"].get("upload")

        def store(session: Session) -> None:
            if not dry_run:
                try:
                    stored = imports.store(session, made["course"], into=into, account_id=job.account_id)
                except (Invalid, NotFound) as fault:
                    # As of all that is wrong with it nothing stays; unless somebody else goes on there by now.
                    units.hold(session, job)
                    shutil.rmtree(self._folder, ignore_errors=True)
                    code = "curriculum_gone" if isinstance(fault, NotFound) else fault.code
                    raise BadInput(fault.message, code=code) from fault
                if images:
                    curriculum_assets.replace(session, stored.id, images)
                else:
                    # An export names the images of its course, and holds none.
                    curriculum_assets.keep_only(session, stored.id, _images_shown(made["course"]))
                result["curriculum_id"] = stored.id
            # The course first and the job then: in this order, too, a course is removed whose import is cancelled.
            units.hold(session, job)
            # Not before: whoever comes after a kill needs what is there.
            event.listen(session, "after_commit", partial(self._forget, upload), once=True)

        return Done(result, store)

    def _put(self, images: list[dict[str, Any]]) -> list[NewAsset]:
        """The images of the course, stored: before the rows that point to them."""
        put = []
        for number, image in enumerate(images):
            self._work.report(BEGINS["store"] + (1.0 - BEGINS["store"]) * number / len(images), "store")
            file_name = self._work.process.files.put((self._images / image["file_name"]).read_bytes())
            put.append(NewAsset(**image | {"file_name": file_name}))
        return put

    def _forget(self, upload: str | None, _: Any) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        if upload is not None:
            # What cannot be removed now is removed by upkeep.
            with suppress(OSError):
                (self._folders.uploads / upload).unlink()

    @property
    def _images(self) -> Path:
        return self._folder / "images"

    @property
    def _folders(self) -> imports.Folders:
        return imports.folders(self._work.process.settings.var_dir)

    def _outside(self) -> Outside:
        settings = self._work.process.settings
        http = Http(
            allow_private=settings.import_allow_private,
            most_bytes=settings.import_max_download_mb * 2**20,
            cache=self._folders.cache,
            pause_seconds=settings.import_pause_seconds,
        )
        return Outside(http, settings.mit_ocw_url, self._folders.uploads)


def _images_shown(course: dict[str, Any]) -> set[str]:
    """The paths of the images that the topics of a course show."""
    # Those of an export are as they were sent.
    listed = [topic["extra"].get("assets") for topic in course["topics"]]
    assets = [asset for each in listed if isinstance(each, list) for asset in each if isinstance(asset, dict)]
    return {str(asset.get("target")) for asset in assets if asset.get("kind") == "image"}
