"""Bytes to text, and what is said of it."""

from __future__ import annotations

import pytest

from workers.errors import BadInput
from workers.importers.encoding import decode

FRENCH = "<p>L’été, où naît « l’œuvre » — déjà. Ça, c’est sûr : élève, forêt, garçon, Noël, très tôt.</p>" * 4
RUSSIAN = "<p>Съешь ещё этих мягких французских булок, да выпей чаю. Широкая электрификация южных губерний.</p>" * 4
GERMAN = "<p>Größe, Übung, Straße und Äpfel: schöne Mädchen fließen über die Brücke.</p>" * 4
POLISH = "<p>Zażółć gęślą jaźń. Książka leży na półce, a źródło wody płynie przez środek łąki.</p>" * 4
JAPANESE = "<p>吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。</p>" * 4


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_text_with_its_mark_or_in_utf_8_is_read_without_a_note(encoding: str) -> None:
    assert (read := decode(FRENCH.encode(encoding), "x")).text == FRENCH
    assert read.note is None


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_noticed(encoding: str) -> None:
    read = decode(FRENCH.encode(encoding), "x")
    assert read.text == FRENCH
    assert read.note is not None
    assert encoding in read.note


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("<?xml version='1.0' encoding='ISO-8859-15'?><p>prix : 5 €, œuvre</p>", "iso-8859-15"),
        (f'<meta charset="windows-1251">{RUSSIAN}', "cp1251"),
        (f'<meta http-equiv="Content-Type" content="text/html; charset=shift_jis">{JAPANESE}', "shift_jis"),
        (f"<meta charset=iso-2022-jp>{JAPANESE}", "iso-2022-jp"),
        (f"<meta charset='gb2312'><p>{'联通' * 20}</p>", "gb2312"),
        ("<meta charset=iso-8859-1><p>“quoted”</p>", "cp1252"),
    ],
)
def test_what_a_page_declares_is_believed(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding), "x").text == text


def test_what_came_with_a_page_is_believed_before_what_it_declares() -> None:
    text = f"<meta charset='windows-1252'>{RUSSIAN}"
    assert decode(text.encode("koi8-r"), "x", declared="KOI8-R").text == text


@pytest.mark.parametrize(
    ("data", "text", "note"),
    [
        (
            f"<meta charset=iso-8859-1>{FRENCH}".encode(),
            f"<meta charset=iso-8859-1>{FRENCH}",
            "though it says iso8859-1",
        ),
        (f"<meta charset=utf-8>{FRENCH}".encode("cp1252"), f"<meta charset=utf-8>{FRENCH}", "cp1252, though it says"),
        (f"<meta charset=utf-16>{FRENCH}".encode(), f"<meta charset=utf-16>{FRENCH}", None),
        (f"<meta charset=utf-7>{FRENCH}".encode(), f"<meta charset=utf-7>{FRENCH}", None),
        (GERMAN.encode("cp1252"), GERMAN, "read as cp1252, which it does not say"),
        (POLISH.encode("cp1250"), POLISH, "read as cp1250, which it does not say"),
        (POLISH.encode("iso-8859-2"), POLISH, "read as iso8859-2, which it does not say"),
        (RUSSIAN.encode("koi8-r"), RUSSIAN, "read as koi8-r, which it does not say"),
        (JAPANESE.encode("shift_jis"), JAPANESE, "which it does not say"),
        (RUSSIAN.encode("cp1251"), RUSSIAN, "read as cp1251, which it does not say"),
        ("Un café, s'il vous plaît.".encode("cp1252"), "Un café, s'il vous plaît.", "read as cp1252"),
        (
            FRENCH.encode().decode("cp1252", "surrogateescape").encode("utf-8", "surrogateescape"),
            FRENCH,
            "encoded twice",
        ),
        ((FRENCH * 5).encode() + b" \xe9 ", FRENCH * 5 + " \ufffd ", "1 unreadable"),
        (b"one\x01two " + b"x" * 50, "onetwo " + "x" * 50, "control characters"),
    ],
)
def test_a_wrong_encoding_is_repaired_and_said(data: bytes, text: str, note: str | None) -> None:
    read = decode(data, "x")
    assert read.text == text
    if note is None:
        assert read.note is None
    else:
        assert note in (read.note or "")


def test_words_that_only_look_encoded_twice_stay() -> None:
    text = "In UTF-8 wird é zu Ã©; das sieht man oft. Łódź."
    assert decode(text.encode(), "x").text == text


@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, bytes(5000), b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff" * 100]
)
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match="no text") as refused:
        decode(data, "page.html")
    assert refused.value.code == "binary_file"
    assert "'page.html'" in refused.value.message
