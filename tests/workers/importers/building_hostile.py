"""Files that are made to harm, or that went wrong on their way: each as bytes that somebody could send."""

from __future__ import annotations

import functools
import io
import json
import random
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence

from tests.workers.importers import building
from tests.workers.importers.building import Content

MIB = 1 << 20
CC_BY = "\n\nThis text is licensed under CC BY 4.0.\n"
PAGE = f"# A page\n\nOne sentence to be read.{CC_BY}"
# Bytes that no rule packs.
NOISE = random.Random(4).randbytes(50_000)


def zipped(files: Mapping[str, Content], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of these files, in memory."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", packing) as archive:
        for name, content in files.items():
            archive.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else None)
    return held.getvalue()


# --- Archives --------------------------------------------------------------------------------------------------------


def one_after_another(files: Sequence[tuple[str, str]]) -> bytes:
    """An archive in which names may be there twice."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content)
    return held.getvalue()


def of_kind(kind: int) -> bytes:
    """An archive with a link, a device, a pipe."""
    entry = zipfile.ZipInfo("page.md")
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    return held.getvalue()


link = functools.partial(of_kind, stat.S_IFLNK)
device = functools.partial(of_kind, stat.S_IFCHR)
pipe = functools.partial(of_kind, stat.S_IFIFO)


def with_nul() -> bytes:
    """A name that ends elsewhere for those who read C strings."""
    return zipped({"page.mdX.exe": PAGE}).replace(b"page.mdX.exe", b"page.md\0.exe")


def many_small_bombs() -> bytes:
    """Each file is small enough, all together are not."""
    return zipped({f"{number}.md": bytes(3 * MIB) for number in range(12)})


def nested_bomb() -> bytes:
    """Archives in an archive."""
    inner = zipped({"page.md": bytes(20 * MIB)})
    return zipped({f"{number}.zip": inner for number in range(20)})


def many_entries() -> bytes:
    """More files than any course."""
    return zipped({f"{number:x}": b"" for number in range(20_001)}, zipfile.ZIP_STORED)


def understated() -> bytes:
    """A bomb that says it is a page."""
    return zipped({"page.md": bytes(20 * MIB)}).replace(struct.pack("<L", 20 * MIB), struct.pack("<L", 1000))


def overstated() -> bytes:
    """A bomb that says it was hardly packed."""
    data = zipped({"page.md": bytes(20 * MIB)})
    packed = zipfile.ZipFile(io.BytesIO(data)).infolist()[0].compress_size
    return data.replace(struct.pack("<L", packed), struct.pack("<L", MIB))


def overlapping(count: int = 50) -> bytes:
    """Fifield's bomb: each file quotes the head of the next as text, and goes on into its bytes.

    Each is a whole file to whoever unpacks it, and all of them lie in the same bytes.
    """
    heads: list[bytes] = []
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    content, data = NOISE, packer.compress(NOISE) + packer.flush()
    for number in reversed(range(count)):
        name = f"{number}.md".encode()
        about = struct.pack("<LLLHH", zlib.crc32(content), len(data), len(content), len(name), 0)
        head = struct.pack("<4s5H", b"PK\3\4", 20, 0, 8, 0, 33) + about + name
        heads.insert(0, head)
        if number:
            # A part of the packed text that is stored as it is, of which five bytes say how long it is.
            quoted = struct.pack("<BHH", 0, len(head), len(head) ^ 0xFFFF) + head
            content, data = head + content, quoted + data
    directory, at = b"", 0
    for head in heads:
        directory += struct.pack("<4s2H", b"PK\1\2", 20, 20) + head[6:30] + struct.pack("<3H2L", 0, 0, 0, 0, at)
        directory += head[30:]
        at += len(head) + 5
    body = heads[0] + data
    return body + directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)


def locked() -> bytes:
    """An archive with a password."""
    data = bytearray(zipped({"page.md": PAGE}))
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + at] |= 1
    return bytes(data)


def cut(share: float) -> bytes:
    """An archive of which only the first part came."""
    data = zipped(building.epub_3())
    return data[: max(30, int(share * len(data)))]


def scratched() -> bytes:
    """An archive in which a letter changed on the way."""
    return zipped({"page.md": "the very words"}, zipfile.ZIP_STORED).replace(b"very words", b"vary words")


# --- XML -------------------------------------------------------------------------------------------------------------

_LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
LAUGHS = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{_LAUGHS}]><x>&l9;</x>'
EXTERNAL = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]><x>&f;</x>'
PARAMETER = '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:1/x.dtd">%p;]><x/>'


def book(**changed: Content) -> bytes:
    """A book (EPUB 2) with some of its files changed: ``package``, ``toc``, ``container``."""
    names = {"package": "package.opf", "toc": "toc.ncx", "container": "META-INF/container.xml"}
    return zipped(building.epub_2() | {names[name]: content for name, content in changed.items()})


def cartridge(manifest: Content) -> bytes:
    """A cartridge with another manifest."""
    return zipped(building.cartridge() | {"imsmanifest.xml": manifest})


# --- Encrypted books -------------------------------------------------------------------------------------------------

_SCRAMBLED = """<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"
    xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData><enc:EncryptionMethod Algorithm="{method}"/>
  <enc:CipherData><enc:CipherReference URI="{target}"/></enc:CipherData></enc:EncryptedData></encryption>"""
AES = "http://www.w3.org/2001/04/xmlenc#aes256-cbc"
FONTS = "http://www.idpf.org/2008/embedding"
ADOBE_FONTS = "http://ns.adobe.com/pdf/enc#RC"


def encrypted_book(method: str, target: str) -> bytes:
    """A book (EPUB 3) of which a file is encrypted."""
    told = _SCRAMBLED.format(method=method, target=target)
    return zipped(building.epub_3() | {"META-INF/encryption.xml": told, "OEBPS/font.otf": b"x"})


# --- Pages -----------------------------------------------------------------------------------------------------------


def images_only() -> bytes:
    """A book of scans."""
    scan = building.xhtml("", '<img src="../Images/wave.png"/>')
    pages = dict.fromkeys([name for name in building.epub_3() if name.startswith("OEBPS/Text/")], scan)
    return zipped(building.epub_3() | pages | {"OEBPS/map.xhtml": scan})


def deep_page(text: str = "") -> str:
    """A page nested as deep as nobody writes, with a text at the bottom."""
    return f"<!DOCTYPE html><html><body>{'<div>' * 100_000}{text}{'</div>' * 100_000}</body></html>"


def library() -> bytes:
    """More pages than fit."""
    return zipped({f"{number}.txt": "word " * (7 * MIB // 5) for number in range(5)}, zipfile.ZIP_STORED)


def export(*, count: int = 1, **topic: object) -> str:
    """An export of ours, all of whose topics are alike."""
    return json.dumps({"title": "t", "content": [{"title": "x", "segments": ["A text."]} | topic] * count})
