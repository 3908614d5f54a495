"""Bytes to text: what marks, declarations and the bytes themselves say of the encoding, and what had to be repaired."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from charset_normalizer import from_bytes

from workers.errors import BadInput

# Enough to know an encoding by; the whole of a large file takes seconds.
_SAMPLE_BYTES = 1 << 16
_DECLARED = re.compile(
    rb"<\?xml[^<>]{0,200}?encoding\s*=\s*[\"']([\w.:-]{1,40})|<meta[^<>]{0,400}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})",
    re.IGNORECASE,
)
_TAG = re.compile(rb"<[^<>]{0,2000}>")
# The longer marks first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = [
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
]
# Python's codecs that are no encodings of pages, or that hide what they hold.
_NO_ENCODINGS = {"utf-7", "punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined", "palmos", "mbcs"}
_LATIN = {"iso8859-1", "ascii", "cp1252", "iso8859-15", "mac-roman", "cp437", "cp850"}
_SEVEN_BIT = ("iso2022", "hz")
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
# Above this share of control characters it is no text.
_CONTROLS_SHARE = 0.001

# So few bytes beyond ASCII say nothing of their encoding. Polish has one in ten, Russian nearly all.
_FEW = 8
_FEW_SHARE = 0.02
_CENTRAL = {"Polish", "Czech", "Slovak", "Hungarian", "Slovene", "Croatian", "Romanian"}
_WESTERN = {
    *("English", "French", "German", "Dutch", "Italian", "Spanish", "Portuguese", "Swedish", "Danish", "Norwegian"),
    *("Finnish", "Catalan", "Icelandic"),
}

# UTF-8 that somebody read as windows-1252 and saved as UTF-8 again: "Ã©" for "é", "â€™" for "’".
_HIGH = {byte: bytes([byte]).decode("cp1252", "ignore") for byte in range(0x80, 0xA0)}
_TWICE = re.compile("[Â-ô][\x80-\xbf" + "".join(_HIGH.values()) + "]")
_BACK = {ord(character): byte for byte, character in _HIGH.items() if character}


@dataclass(frozen=True)
class Decoded:
    """A text, and what had to be done to read it (None where it was as it said)."""

    text: str
    note: str | None = None


def decode(data: bytes, name: str, *, declared: str | None = None) -> Decoded:
    """The text of a file; ``declared`` is what came with it (a header), before what it says of itself.

    Raises:
        BadInput: it is no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _checked(_lenient(data[len(mark) :], encoding), data, name)
    if (wide := _without_mark(data)) is not None:
        return _checked(_lenient(data, wide, f"read as {wide}, which has no mark"), data, name)
    told = _known(declared) or _declared_in(data)
    if told is not None and told.startswith(("utf-16", "utf-32")):
        # It could be read up to here byte by byte, so it is neither.
        told = "utf-8"
    return _checked(_decoded(data, told), data, name)


def _decoded(data: bytes, told: str | None) -> Decoded:
    if told is not None and told.replace("_", "").startswith(_SEVEN_BIT):
        return _strict(data, told) or _guessed(data, told)
    if data.isascii():
        return Decoded(data.decode("ascii"))
    # Hardly anything but UTF-8 is valid UTF-8, and Latin-1 is what a template says that nobody looked at.
    if told in (None, "utf-8") or told in _LATIN:
        if (read := _strict(data, "utf-8")) is not None:
            fixed = _once(read.text)
            if fixed is not None:
                return Decoded(fixed, "read as UTF-8 that was encoded twice")
            return Decoded(read.text, f"read as utf-8, though it says {told}" if told not in (None, "utf-8") else None)
        if told in ("iso8859-1", "ascii"):
            told = "cp1252"  # as every browser does
    if told not in (None, "utf-8") and (read := _strict(data, str(told))) is not None:
        return read
    return _guessed(data, told)


def _guessed(data: bytes, told: str | None) -> Decoded:
    """A text whose encoding is not what it says, or that says nothing."""
    said = f", though it says {told}" if told else ", which it does not say"
    # UTF-8 with a few bytes broken is still UTF-8.
    patched = data.decode("utf-8", "replace")
    spoiled = patched.count("\ufffd")
    others = sum(1 for byte in data[:_SAMPLE_BYTES] if byte >= 0x80)
    if len(data) <= _SAMPLE_BYTES and spoiled and spoiled * 10 < others:
        return Decoded(patched, f"read as utf-8 with {spoiled} unreadable characters")
    encoding = _likely(_sample(data))
    for candidate in (encoding, "cp1252"):
        if candidate not in (None, "ascii") and (read := _strict(data, str(candidate))) is not None:
            return Decoded(read.text, f"read as {candidate}{said}")
    return _lenient(data, encoding or "cp1252", f"read as {encoding or 'cp1252'}{said}")


def _likely(sample: bytes) -> str | None:
    """The encoding that a text of one byte a letter, or of several, is likely in."""
    if sum(1 for byte in sample if byte >= 0x80) <= max(_FEW, _FEW_SHARE * len(sample)):
        return "cp1252"  # too few accents to tell by, so what browsers take where nothing is said
    matches = from_bytes(_TAG.sub(b" ", sample))
    best = matches.best()
    if best is None:
        return None
    if any(match.encoding == "cp1252" and match.chaos <= best.chaos for match in matches):
        return "cp1252"
    # What it knows well is the language and the script, and less which of the alike encodings it is.
    if best.language in _CENTRAL and best.encoding not in ("cp1250", "iso8859_2"):
        return "cp1250" if any(0x80 <= byte < 0xA0 for byte in sample) else "iso8859-2"
    if best.language in _WESTERN:
        return "cp1252"
    return _known(best.encoding)


def _sample(data: bytes) -> bytes:
    """A part of the file in which something is not ASCII."""
    first = next((at for at, byte in enumerate(data) if byte >= 0x80), 0)
    start = max(0, first - _SAMPLE_BYTES // 2)
    return data[start : start + _SAMPLE_BYTES]


def _strict(data: bytes, encoding: str) -> Decoded | None:
    try:
        return Decoded(data.decode(encoding))
    except (UnicodeDecodeError, LookupError):
        return None


def _lenient(data: bytes, encoding: str, note: str | None = None) -> Decoded:
    text = data.decode(encoding, "replace")
    spoiled = text.count("\ufffd") - data.count("\ufffd".encode(encoding, "ignore") or b"\xff\xff\xff")
    if spoiled <= 0:
        return Decoded(text, note)
    return Decoded(text, f"{note or f'read as {encoding}'}, with {spoiled} unreadable characters")


def _once(text: str) -> str | None:
    """A text that was encoded twice, encoded once; None where it was not."""
    if not _TWICE.search(text):
        return None
    try:
        return text.translate(_BACK).encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return None


def _without_mark(data: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of markup and of Latin text is zero."""
    head = data[:4096]
    if len(head) < 4 or head.count(0) * 3 < len(head):
        return None
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if len(head) >= 8 and even * 3 > len(head) and odd * 3 > len(head):
        return None  # zeros everywhere: binary, or UTF-32, which nobody writes without its mark
    return "utf-16-be" if even > odd else "utf-16-le"


def _declared_in(data: bytes) -> str | None:
    found = _DECLARED.search(data[:2048])
    return _known((found[1] or found[2]).decode("ascii")) if found else None


def _known(label: str | None) -> str | None:
    """Python's name for an encoding that pages are written in."""
    if not label:
        return None
    try:
        found = codecs.lookup(label.strip().strip("\"'"))
    except (LookupError, ValueError):
        return None
    return None if found.name in _NO_ENCODINGS or not found._is_text_encoding else found.name


def _checked(read: Decoded, data: bytes, name: str) -> Decoded:
    """Refuses what is no text."""
    controls = len(_CONTROLS.findall(read.text))
    spoiled = read.text.count("\ufffd")
    if controls > max(2, _CONTROLS_SHARE * len(read.text)) or spoiled * 10 > len(read.text) > 0:
        raise BadInput(f"{name!r} is no text ({len(data)} bytes that begin {data[:12]!r}).", code="binary_file")
    if controls:
        return Decoded(_CONTROLS.sub("", read.text), read.note or "read without its control characters")
    return read
