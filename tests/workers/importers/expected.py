"""Whole courses side by side: what lies in a folder as somebody wrote it, and the course that is made of it.

``python -m tests.workers.importers.expected NAME ...`` writes what is expected of these courses anew. Whoever does that
reads the change as a listener would: what is wrong there is a fault of the importers.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.workers.importers import building
from workers.importers import enrich, generate

COURSES = Path(__file__).parent / "courses"
# What the files of a format are called; the others come as zips.
_ENDINGS = {"epub": ".epub", "cartridge": ".imscc"}


def made_of(course: Path, folder: Path) -> dict[str, Any]:
    """The course that the importers make of ``course/input``, packed into ``folder`` where it is more than one file."""
    draft = building.read(packed(course, folder))
    outline = enrich.enrich(draft, accept_license=False, report=_ignored)
    made = generate.generate(outline, title=None, source={"source": "file"}, report=_ignored)
    told = _bare({name: made[name] for name in ("course", "result")})
    assert isinstance(told, dict)
    return told


def packed(course: Path, folder: Path) -> Path:
    """A lone file as it is; a folder as an archive, in which ``mimetype`` stands first."""
    files = sorted(path for path in (course / "input").rglob("*") if path.is_file())
    if len(files) == 1:
        return files[0]
    names = {path.relative_to(course / "input").as_posix(): path.read_bytes() for path in files}
    ordered = dict(sorted(names.items(), key=lambda each: each[0] != "mimetype"))
    ending = _ENDINGS.get(course.name.partition("-")[0], ".zip")
    return building.zipped(folder / f"{course.name}{ending}", ordered)


def shown(told: dict[str, Any]) -> str:
    """A course as it is kept: to be read by people, and compared line by line."""
    return json.dumps(told, ensure_ascii=False, indent=1) + "\n"


def _bare(value: Any) -> Any:
    """A value without what says nothing; a segment that is nothing but a text is that text."""
    if isinstance(value, dict):
        kept = {name: _bare(each) for name, each in value.items() if each not in (None, "", [], {})}
        return kept["text"] if set(kept) == {"text"} else kept
    return [_bare(each) for each in value] if isinstance(value, list) else value


def _ignored(_: float) -> None:
    """Nobody looks at the progress."""


def main(names: list[str]) -> None:
    """Writes what is expected of the courses named."""
    for name in names:
        course = COURSES / name
        with tempfile.TemporaryDirectory() as folder:
            (course / "expected.json").write_text(shown(made_of(course, Path(folder))), encoding="utf-8")
        print(f"{course / 'expected.json'} written: read it.")


if __name__ == "__main__":
    main(sys.argv[1:])
