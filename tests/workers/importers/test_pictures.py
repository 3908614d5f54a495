"""Images taken out of a course: told by their content, within limits, and whole after a kill."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import images
from tests.images import SVG, encoded, png
from tests.workers.importers.building import zipped
from workers.errors import Stopped
from workers.importers import pictures
from workers.importers.archive import LoneFile, ZipTree
from workers.importers.outline import Asset, Segment, Topic


def quiet(share: float) -> None:
    """Nobody listens."""


def topic(*targets: str) -> Topic:
    return Topic("A topic", [Segment("One.")], assets=[Asset("image", target) for target in targets])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the images go."""
    return tmp_path / "images"


def kept(folder: Path, files: Mapping[str, bytes], *topics: Topic) -> tuple[dict[str, Any], list[str]]:
    """What is kept by its path, and the notes."""
    tree = ZipTree(zipped(folder.parent / "course.zip", files))
    found, notes = pictures.keep(topics or [topic(*files)], tree, folder, quiet)
    return {each["path"]: each for each in found}, notes


DOCTYPE = b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">'
BOMB = b'<!DOCTYPE svg [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><svg xmlns="http://www.w3.org/2000/svg">&b;</svg>'


# --- What they are ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media_type", images.ENCODED)
def test_what_an_encoder_made_is_told_by_its_content(media_type: str) -> None:
    shown_everywhere = media_type != "image/bmp"
    assert pictures.media_type(encoded(media_type)) == (media_type if shown_everywhere else None)


@pytest.mark.parametrize(
    "drawing",
    [
        SVG,
        b"\xef\xbb\xbf" + SVG,
        SVG.decode().replace("?>", ' encoding="utf-16"?>').encode("utf-16"),
        DOCTYPE + b'<s:svg xmlns:s="http://www.w3.org/2000/svg"/>',
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    ],
    ids=["plain", "mark", "UTF-16", "doctype and prefix", "script"],
)
def test_a_drawing_is_one_that_parses_as_one(drawing: bytes) -> None:
    assert pictures.media_type(drawing) == "image/svg+xml"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF",
        b"RIFF\0\0\0\0WAVE",
        b"\0\0\0\x18ftypisom\0\0\0\0isomiso2",
        b"\xff\xff\xff\xffftyp",
        b"%PDF-1.7",
        b"<html><svg xmlns='http://www.w3.org/2000/svg'/></html>",
        b"<svg/>",
        SVG[:-3],
        b"  " + SVG,
        BOMB,
        b'<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg">&a;</svg>',
        b"<?xml version='1.0' encoding='nonsense'?><svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<svg xmlns='http://www.w3.org/2000/svg'>\xff</svg>",
    ],
)
def test_what_no_browser_shows_as_an_image_is_none(data: bytes) -> None:
    assert pictures.media_type(data) is None


# --- What is kept -------------------------------------------------------------------------------------------------


def test_the_images_that_topics_show_are_kept_under_their_digests_each_once(folder: Path) -> None:
    files = {"a/one.png": png(1), "two.jpg": SVG, "again.png": png(1), "unseen.png": png(2), "page.html": b"<p>"}
    asked = [topic("a/one.png", "two.jpg"), topic("two.jpg", "again.png", "gone.png", "https://a.example/b.png")]
    asked[0].assets.append(Asset("link", "unseen.png"))
    found, notes = kept(folder, files, *asked)
    digests = {path: hashlib.sha256(files[path]).hexdigest() for path in ("a/one.png", "two.jpg", "again.png")}
    assert found["a/one.png"] == {
        "path": "a/one.png",
        "file_name": digests["a/one.png"],
        "media_type": "image/png",
        "size_bytes": len(png(1)),
    }
    # Whatever its name says.
    assert found["two.jpg"]["media_type"] == "image/svg+xml"
    assert {path: each["file_name"] for path, each in found.items()} == digests
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        digest: files[path] for path, digest in digests.items()
    }
    assert notes == []


def test_a_course_without_images_keeps_none(folder: Path) -> None:
    (folder.parent / "page").write_bytes(b"# A course")
    told: list[float] = []
    alone = LoneFile(folder.parent / "page", "page.md")
    assert pictures.keep([topic("page.md"), topic("gone.png")], alone, folder, told.append)[0] == []
    assert told[-1] == 1.0


def test_what_is_no_image_or_damaged_is_left_out_and_noted_once_for_each_reason(folder: Path) -> None:
    files = {f"{number}.png": b"no image" for number in range(5)} | {"broken.png": png(7), "good.png": png(9)}
    path = zipped(folder.parent / "course.zip", files)
    # Its bytes are not those that went into the archive.
    at = path.read_bytes().index(b"broken.png") + 20
    changed = bytearray(path.read_bytes())
    changed[at] ^= 0xFF
    path.write_bytes(changed)
    found, notes = pictures.keep([topic(*files)], ZipTree(path), folder, quiet)
    assert [each["path"] for each in found] == ["good.png"]
    no_image, damaged = notes
    assert no_image.endswith("SVG without entities, left out: 0.png, 1.png, 2.png and 2 more.")
    assert damaged == "Images that are damaged, left out: broken.png."


def test_an_image_of_just_ten_mebibytes_is_kept_and_a_larger_one_is_not(folder: Path) -> None:
    path = folder.parent
    for name, size in (("just.png", 10 << 20), ("larger.png", (10 << 20) + 1)):
        (path / name).write_bytes(png(1, size_bytes=size))
        found, notes = pictures.keep([topic(name)], LoneFile(path / name, name), folder, quiet)
        assert len(found) == (1 if name == "just.png" else 0)
    assert notes == ["Images of more than 10 MiB, left out: larger.png."]


def test_beyond_the_limits_of_a_course_images_are_left_out_and_smaller_ones_still_fit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (pictures.MAX_COURSE_BYTES, pictures.MAX_IMAGES) == (200 << 20, 2000)
    files = {"a.png": png(1, size_bytes=700), "b.png": png(2, size_bytes=700), "c.png": png(3, size_bytes=300)}
    with monkeypatch.context() as small:
        small.setattr(pictures, "MAX_COURSE_BYTES", 1000)
        found, notes = kept(folder, files)
    assert list(found) == ["a.png", "c.png"]
    assert ["b.png" in note for note in notes] == [True]
    monkeypatch.setattr(pictures, "MAX_IMAGES", 2)
    found, notes = kept(folder, files)
    assert list(found) == ["a.png", "b.png"]
    assert notes == ["Images beyond the 2 that are kept of a course, left out: c.png."]


def test_a_path_that_no_address_can_hold_is_left_out(folder: Path) -> None:
    odd, long = "two\nlines.png", f"{'🖼' * 496}.png"
    found, notes = kept(folder, {odd: png(1), long: png(2), "fine 100%?#.png": png(3)})
    assert set(found) == {long, "fine 100%?#.png"}
    assert notes == [f"Images whose paths no address can hold, left out: {odd}."]
    longer = LoneFile(folder.parent / "course.zip", f"x{long}")
    assert pictures.keep([topic(f"x{long}")], longer, folder, quiet) == (
        [],
        [f"Images whose paths no address can hold, left out: x{long}."],
    )


# --- Kills and stops ----------------------------------------------------------------------------------------------


def test_what_was_written_before_a_kill_is_not_written_again(folder: Path) -> None:
    files = {"a.png": png(1), "b.png": png(2)}
    kept(folder, files, topic("a.png"))
    (before,) = folder.iterdir()
    written = before.stat()
    # What another worker was writing when it died.
    (folder / f".{before.name}.1.2").write_bytes(b"half")
    found, _ = kept(folder, files)
    assert len(found) == 2
    assert (before.stat().st_ino, before.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert {(folder / each["file_name"]).read_bytes() for each in found.values()} == set(files.values())


def test_a_write_that_fails_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    tree = ZipTree(zipped(folder.parent / "course.zip", {"a.png": png(1)}))
    with pytest.raises(OSError, match="No space"):
        pictures.keep([topic("a.png")], tree, folder, quiet)
    assert list(folder.iterdir()) == []


def test_whoever_does_not_want_it_any_more_stops_it_between_two_images(folder: Path) -> None:
    told: list[float] = []

    def stop(share: float) -> None:
        told.append(share)
        if share:
            raise Stopped

    tree = ZipTree(zipped(folder.parent / "course.zip", {f"{number}.png": png(number) for number in range(4)}))
    with pytest.raises(Stopped):
        pictures.keep([topic(*tree.names())], tree, folder, stop)
    assert told == [0.0, 0.25]
    assert len(list(folder.iterdir())) == 1
