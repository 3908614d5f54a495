"""What is sent to harm, or went wrong on its way: one line each, through the whole import, with what is answered.

After each: no course, the job failed with that code, and nothing in ``var/imports`` but what was sent, which stays for
an hour in case somebody tries again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from models import imports
from models.db import Database
from tests.tasks.importing import courses, left, send, start, taken, texts
from tests.workers.importers import building
from tests.workers.importers.building_hostile import (
    ADOBE_FONTS,
    AES,
    CC_BY,
    EXTERNAL,
    FONTS,
    LAUGHS,
    MIB,
    NOISE,
    PAGE,
    PARAMETER,
    book,
    cartridge,
    cut,
    deep_page,
    device,
    encrypted_book,
    export,
    images_only,
    library,
    link,
    locked,
    many_entries,
    many_small_bombs,
    nested_bomb,
    one_after_another,
    overlapping,
    overstated,
    pipe,
    scratched,
    understated,
    with_nul,
    zipped,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("outside")]

Content = str | bytes | Callable[[], str | bytes]


def content_of(sent: Content) -> str | bytes:
    return sent() if callable(sent) else sent


def rows(table: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The lines of a table, each a test by the words that it begins with."""
    return [pytest.param(*line, id=words) for words, *line in table]


# --- Files that are refused ------------------------------------------------------------------------------------------

OUT = "leads out of it"
BOMB = "made to fill a disk"
CUT = "damaged or cut off"
ENTITIES = "declares entities of its own"

REFUSED: list[tuple[str, str, Content, str, str]] = [
    # What it is, what it is called, what is in it; the code of the answer, and what it says.
    # Bombs
    ("a bomb by its ratio", "a.zip", lambda: zipped({"a.md": bytes(20 * MIB)}), "unsafe_archive", "20971520 bytes"),
    ("a bomb of many small files", "a.zip", many_small_bombs, "unsafe_archive", BOMB),
    ("a bomb in a bomb", "a.zip", nested_bomb, "unknown_format", "files with .zip"),
    ("a bomb that understates its size", "a.zip", understated, "damaged_archive", "page.md"),
    ("a bomb that overstates its packed size", "a.zip", overstated, "unsafe_archive", "longer than the archive"),
    ("a bomb of files in the same bytes", "a.zip", overlapping, "unsafe_archive", "share their bytes"),
    ("more files than a course has", "a.zip", many_entries, "unsafe_archive", "more than 20000 files"),
    ("a packing that asks for gigabytes", "a.zip", lambda: zipped({"a.md": PAGE}, 14),
     "unsupported_archive", "method 14"),
    ("an old packing", "a.zip", lambda: zipped({"a.md": PAGE}, 12), "unsupported_archive", "method 12"),
    # Paths
    ("a path up", "a.zip", zipped({"../a.md": PAGE}), "unsafe_archive", OUT),
    ("a path up from inside", "a.zip", zipped({"a/../../a.md": PAGE}), "unsafe_archive", OUT),
    ("an absolute path", "a.zip", zipped({"/etc/a.md": PAGE}), "unsafe_archive", OUT),
    ("a path up with backslashes", "a.zip", zipped({"..\\a.md": PAGE}), "unsafe_archive", OUT),
    ("a path to another machine", "a.zip", zipped({"\\\\host\\a.md": PAGE}), "unsafe_archive", OUT),
    ("a path with a drive", "a.zip", zipped({"C:\\a.md": PAGE}), "unsafe_archive", OUT),
    ("a path on a drive", "a.zip", zipped({"c:a.md": PAGE}), "unsafe_archive", OUT),
    ("a path with a NUL", "a.zip", with_nul(), "unsafe_archive", OUT),
    ("a path too long", "a.zip", zipped({f"{'a' * 600}.md": PAGE}), "unsafe_archive", "too long or too deep"),
    ("a path too deep", "a.zip", zipped({f"{'a/' * 50}a.md": PAGE}), "unsafe_archive", "too long or too deep"),
    ("a link in an archive", "a.zip", link(), "unsafe_archive", "link or a device"),
    ("a device in an archive", "a.zip", device(), "unsafe_archive", "link or a device"),
    ("a pipe in an archive", "a.zip", pipe(), "unsafe_archive", "link or a device"),
    # XML
    ("a billion laughs in a book", "a.epub", lambda: book(package=LAUGHS), "xml_entities", ENTITIES),
    ("a file of ours in a book", "a.epub", lambda: book(package=EXTERNAL), "xml_entities", "package.opf"),
    ("an outside DTD in a book", "a.epub", lambda: book(package=PARAMETER), "xml_entities", ENTITIES),
    ("a billion laughs in its contents", "a.epub", lambda: book(toc=LAUGHS), "xml_entities", "toc.ncx"),
    ("a file of ours in its container", "a.epub", lambda: book(container=EXTERNAL), "xml_entities", ENTITIES),
    ("a billion laughs in a manifest", "a.zip", lambda: cartridge(LAUGHS), "xml_entities", ENTITIES),
    ("a file of ours in a manifest", "a.zip", lambda: cartridge(EXTERNAL), "xml_entities", "imsmanifest"),
    ("an outside DTD in a manifest", "a.zip", lambda: cartridge(PARAMETER), "xml_entities", ENTITIES),
    ("XML that is cut off", "a.epub", lambda: book(package="<package"), "broken_xml", "package.opf"),
    ("XML that is not closed", "a.epub", lambda: book(package="<package><a></package>"), "broken_xml", "well-formed"),
    ("XML that is empty", "a.epub", lambda: book(package=""), "broken_xml", "package.opf"),
    ("XML nested without end", "a.epub", lambda: book(package="<a>" * 200_000), "broken_xml", "package.opf"),
    ("XML that is none", "a.epub", lambda: book(package="\0\1\2"), "binary_file", "package.opf"),
    ("XML larger than any manifest", "a.epub", lambda: book(package=" " * 5 * MIB), "unsafe_archive", BOMB),
    ("a manifest of something else", "a.zip", lambda: cartridge("<html/>"), "broken_cartridge", "no manifest"),
    ("a book without a package", "a.epub", lambda: book(container="<container/>"), "broken_epub", "names no package"),
    ("contents nested without end", "a.epub",
     lambda: book(toc=f"<ncx><navMap>{'<navPoint>' * 3000}{'</navPoint>' * 3000}</navMap></ncx>"),
     "nested_too_deep", "nested deeper"),
    ("items nested without end", "a.zip",
     lambda: cartridge(f"<manifest><organizations><organization>{'<item><title>x</title>' * 3000}"
                               f"{'</item>' * 3000}</organization></organizations></manifest>"),
     "nested_too_deep", "nested deeper"),
    # Locked
    ("an archive with a password", "a.zip", locked(), "encrypted", "without a password"),
    ("an encrypted book", "a.epub", lambda: encrypted_book(AES, "OEBPS/Text/two.xhtml"), "encrypted", "aes256"),
    ("a page encrypted as a font", "a.epub", lambda: encrypted_book(FONTS, "OEBPS/Text/two.xhtml"),
     "encrypted", "two.xhtml"),
    ("a book for one reader", "a.epub", lambda: zipped(building.epub_3() | {"META-INF/rights.xml": "<rights/>"}),
     "encrypted", "for one reader"),
    ("a book of a shop", "a.epub", lambda: zipped(building.epub_3() | {"META-INF/sinf.xml": "<sinf/>"}),
     "encrypted", "for one reader"),
    ("a locked cartridge", "a.zip",
     lambda: cartridge('<manifest><authorizations access="cartridge"/></manifest>'), "encrypted", "authorisation"),
    # Damaged
    ("an archive without its end", "a.zip", lambda: cut(0.7), "damaged_archive", CUT),
    ("an archive of which a byte is missing", "a.zip", lambda: cut(0.999), "damaged_archive", CUT),
    ("the first bytes of an archive", "a.zip", lambda: cut(0.0), "damaged_archive", CUT),
    ("an archive with a changed letter", "a.zip", scratched(), "damaged_archive", "page.md"),
    ("JSON that is cut off", "a.json", '{"title": "a", "content": [', "broken_json", "begins like JSON"),
    ("JSON nested without end", "a.json", "[" * 200_000, "broken_json", "nested too deep"),
    ("JSON with no number", "a.json", '{"title": NaN, "content": []}', "broken_json", "NaN"),
    ("data of MIT that are cut off", "a.zip", lambda: zipped(building.ocw() | {"data.json": "{"}),
     "broken_json", "data.json"),
    # Too much
    ("a line of ten megabytes", "a.txt", lambda: "word " * (2 * MIB), "file_too_large", "8 MiB"),
    ("a line without a space", "a.txt", lambda: "w" * (10 * MIB), "file_too_large", "8 MiB"),
    ("a page in an archive beyond all pages", "a.zip",
     lambda: zipped({"a.txt": "word " * (2 * MIB)}, 0), "file_too_large", "8 MiB"),
    ("a page of more tags than any", "a.html", lambda: "<p>x" * 300_001, "file_too_large", "300000 tags"),
    ("more pages than fit", "a.zip", library, "course_too_large", "32 MiB"),
    ("JSON of a million values", "a.json", lambda: f'{{"title": "a", "content": [{"[]," * 600_000}[]]}}',
     "course_too_large", "1000000 values"),
    ("more topics than a course has", "a.json",
     lambda: export(count=5001), "course_too_large", "5001 topics"),
    ("a page nested beyond all pages", "a.html", lambda: deep_page("At the bottom."), "empty_course", "nothing"),
    # No course
    ("a PDF by the name of a page", "a.md", b"%PDF-1.7 ...", "unknown_format", "is PDF"),
    ("a program by the name of a text", "a.txt", b"\x7fELF\0\0\0", "unknown_format", "a program"),
    ("a picture by the name of a book", "a.epub", b"\x89PNG\r\n\x1a\n", "unknown_format", "an image"),
    ("gzip", "a.tgz", b"\x1f\x8b\x08", "unknown_format", "is gzip"),
    ("7-Zip", "a.zip", b"7z\xbc\xaf\x27\x1c", "unknown_format", "is 7-Zip"),
    ("RAR", "a.zip", b"Rar!\x1a\x07", "unknown_format", "is RAR"),
    ("RTF", "a.txt", b"{\\rtf1 x}", "unknown_format", "is RTF"),
    ("a Kindle book", "a.txt", b"x" * 60 + b"BOOKMOBI", "unknown_format", "Kindle"),
    ("noise by the name of a page", "a.md", NOISE, "binary_file", "no text"),
    ("noise among pages", "a.zip", lambda: zipped({"a.md": PAGE, "b.md": NOISE}), "binary_file", "b.md"),
    ("a picture that is an archive, too", "a.zip", lambda: b"GIF89a" + zipped({"a.md": PAGE}),
     "unknown_format", "an image"),
    ("a PDF that is an archive, too", "a.zip", lambda: b"%PDF-1.7\n" + zipped({"a.md": PAGE}),
     "unknown_format", "is PDF"),
    ("a page that is an archive, too", "a.html", lambda: b"<html><p>x" + zipped({"a.md": NOISE}),
     "binary_file", "no text"),
    ("XML that is no page", "a.xml", '<?xml version="1.0"?><feed/>', "unknown_format", "no page"),
    ("JSON of something else", "a.json", '{"name": "x"}', "unknown_format", "no course"),
    ("nothing but spaces", "a.md", b"   \n\n", "empty_course", "nothing"),
    ("an archive of nothing", "a.zip", zipped({}), "unknown_format", "holds nothing"),
    ("an archive of programs", "a.zip", zipped({"a.exe": b"MZ"}), "unknown_format", ".exe"),
    ("an archive of pictures", "a.zip", zipped({"a.png": b"\x89PNG", "b.jpg": b"\xff\xd8"}),
     "unknown_format", ".jpg, .png"),
    ("a book of scans", "a.epub", images_only, "empty_course", "nothing"),
    ("pages of nothing", "a.zip", zipped({"a.md": "", "b.html": "<title>x</title><script>var a = 1</script>"}),
     "empty_course", "nothing"),
    ("a page of a picture", "a.html", '<html><img src="a.png"></html>', "empty_course", "nothing"),
    ("a manifest of nothing", "a.zip", zipped({"imsmanifest.xml": "<manifest/>"}), "empty_course", "nothing"),
    ("data of MIT without pages", "a.zip", zipped({"data.json": '{"course_title": "x"}', "content_map.json": "{}"}),
     "empty_course", "nothing"),
    ("an export of nothing", "a.json", '{"title": "a", "content": [{"title": "x", "segments": []}]}',
     "empty_course", "nothing"),
    ("an export with a NUL", "a.json", export(segments=["a\0b"]), "bad_export", "NUL"),
    ("an export with half a character", "a.json", export(deep=["\ud800"]), "bad_export", "half a character"),
    ("an export with a number for a text", "a.json", export(segments=[5]), "bad_export", "segments[0]: 5"),
    ("an export with an id without end", "a.json", export(id="x" * 300), "bad_id", "1 to 200"),
    ("an export with an id twice", "a.json", export(count=2, id="x"), "bad_export", "content[1].id: 'x'"),
    ("a topic with a segment's id twice", "a.json", export(segments=[{"id": 1, "text": "A."}] * 2),
     "bad_export", "segments[1].id: 1"),
    # Terms
    ("a licence that forbids changes", "a.md", "# A\n\nText.\n\nLicensed under CC BY-NC-ND 4.0.",
     "license_forbids", "BY-NC-ND"),
    ("a licence that is not clear", "a.md", "# A\n\nText to be read.\n\nAll rights reserved.", "license_unclear",
     "accept_license=true"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "sent", "code", "says"), rows(REFUSED))
def test_a_file_is_refused_by_name_and_nothing_is_left(
    database: Database, folders: imports.Folders, name: str, sent: Content, code: str, says: str
) -> None:
    asked = send(folders, content_of(sent), name)
    job = taken(database, start(database, "file", asked))
    assert (job.state, job.error_code, job.attempts) == ("failed", code, 1), job.error_message
    assert says in (job.error_message or "")
    assert courses(database) == []
    assert left(folders) == {asked["upload"]}


def test_a_licence_that_forbids_is_refused_whoever_accepts_it(database: Database, folders: imports.Folders) -> None:
    told = "# A course\n\nSome text.\n\nLicensed under https://creativecommons.org/licenses/by-nc-nd/4.0/\n"
    job = taken(database, start(database, "file", send(folders, told), accept_license=True))
    assert (job.state, job.error_code, courses(database)) == ("failed", "license_forbids", [])


# --- Files that are odd, and read all the same -----------------------------------------------------------------------

FRENCH = f"# Été\n\nL’été, où naît « l’œuvre » : déjà l’élève a très bien répondu, et la forêt s’éveille.{CC_BY}"

READ: list[tuple[str, str, Content, str, str | None]] = [
    # What it is, what it is called, what is in it; what is said, and what is noted.
    ("scrambled fonts", "a.epub", lambda: encrypted_book(FONTS, "OEBPS/font.otf"), "The moon pulls.", "fonts"),
    ("fonts scrambled by Adobe", "a.epub", lambda: encrypted_book(ADOBE_FONTS, "OEBPS/font.otf"),
     "The moon pulls.", "fonts"),
    ("one name twice", "a.zip", one_after_another([("a.md", "# Old\n\nOld."), ("./a.md", PAGE)]),
     "One sentence", "twice"),
    ("one name in two cases", "a.zip", zipped({"Page.md": PAGE, "page.md": "# B\n\nAnother sentence."}),
     "Another sentence.", None),
    ("backslashes between folders", "a.zip", zipped({"part\\page.md": PAGE}), "One sentence", "part\\page.md"),
    ("rubbish after the archive", "a.zip", lambda: zipped({"a.md": PAGE}) + b"rubbish" * 100, "One sentence", None),
    ("a page after the archive", "a.zip", lambda: zipped({"a.md": PAGE}) + b"<html><script>x</script>",
     "One sentence", None),
    ("a damaged picture", "a.zip",
     lambda: zipped({"a.md": PAGE, "b.png": b"very bytes"}, 0).replace(b"very bytes", b"vary bytes"),
     "One sentence", "Damaged"),
    ("bytes of windows-1252", "a.md", FRENCH.encode("cp1252"), "où naît « l’œuvre »", "read as cp1252"),
    ("bytes that are encoded twice", "a.md", FRENCH.replace("’", "'").encode().decode("latin-1").encode(),
     "où naît « l'œuvre »", "encoded twice"),
    ("bytes of UTF-16 without a mark", "a.md", FRENCH.encode("utf-16-le"), "où naît « l’œuvre »", "utf-16-le"),
    ("a page that says another encoding", "a.html", f"<meta charset=utf-8><p>{FRENCH}".encode("cp1252"),
     "où naît", "cp1252"),
    ("a page with control characters", "a.md", PAGE.replace("One", "On\x01e"), "One sentence", "control characters"),
    ("entities in a page", "a.html",
     f'<!DOCTYPE html [<!ENTITY f SYSTEM "file:///etc/hostname">]><p>Here &f; it is.</p><p>{CC_BY}</p>',
     "Here &f; it is.", None),
    ("a page nested as deep as nobody writes", "a.html",
     lambda: f"<html><p>At the top.</p>{'<div>' * 100_000}<p>Deep.</p>", "At the top.", "too deep"),
    ("a line of two megabytes", "a.txt", lambda: "word " * (2 * MIB // 5) + "end.", "end.", None),
    ("a word of a megabyte", "a.txt", lambda: f"A {'w' * MIB} end.", "end.", None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "sent", "said", "note"), rows(READ))
def test_what_is_odd_is_read_and_that_is_noted(
    database: Database, folders: imports.Folders, name: str, sent: Content, said: str, note: str | None
) -> None:
    job = taken(database, start(database, "file", send(folders, content_of(sent), name)))
    assert job.state == "succeeded", job.error_message
    (course,) = courses(database)
    assert any(said in text for topic in texts(database, course.id) for text in topic)
    assert job.result is not None
    assert note is None or any(note in each for each in job.result["notes"]), job.result["notes"]
    assert left(folders) == set()
