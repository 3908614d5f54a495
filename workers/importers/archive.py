"""A zip, a folder or a lone file as a tree of files: nothing is unpacked to disk, nothing outside it is reached."""

from __future__ import annotations

import itertools
import lzma
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from workers.errors import BadInput
from workers.importers.reading import Notes

_CHUNK_BYTES = 1 << 16
# What an operating system adds beside the files.
_RUBBISH = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|Thumbs\.db$|desktop\.ini$|\._[^/]*$)", re.IGNORECASE)
_DRIVE = re.compile(r"^[A-Za-z]:")
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    OverflowError,
)

_END, _END_SIGNATURE = struct.Struct("<4s4H2LH"), b"PK\5\6"
_FAR_END, _FAR_SIGNATURE = struct.Struct("<4sQ2H2L4Q"), b"PK\6\6"
_LOCATOR_BYTES = 20
_LOCAL_HEADER_BYTES = 30


@dataclass(frozen=True)
class Limits:
    """What an archive may hold. Text packs to a tenth, a bomb to a thousandth."""

    entries: int = 20_000
    # 20,000 names of a usual length; it is read whole and each entry then takes about half a kilobyte.
    directory_bytes: int = 4 << 20
    total_bytes: int = 4 << 30
    ratio: int = 200
    # Below this a file may be packed as well as it can: an empty table is no bomb.
    ratio_from_bytes: int = 4 << 20
    name_characters: int = 500
    depth: int = 40


LIMITS = Limits()


class FolderTree:
    """The files under a folder."""

    def __init__(self, folder: Path, limits: Limits = LIMITS) -> None:
        """Looks at every name.

        Raises:
            BadInput: a link, or more files than ``limits`` has.
        """
        self.notes: list[str] = []
        self._paths: dict[str, Path] = {}
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink():
                raise BadInput(f"{name!r} is a link; a course holds files only.", code="unsafe_archive")
            if path.is_file() and not _RUBBISH.search(name):
                self._paths[name] = path
            if len(self._paths) > limits.entries:
                raise _too_many(limits)

    def names(self) -> list[str]:
        """Every path, sorted."""
        return list(self._paths)

    def size(self, name: str) -> int:
        """Bytes of a file.

        Raises:
            KeyError: there is none.
        """
        return self._paths[name].stat().st_size

    def read(self, name: str, *, most: int) -> bytes:
        """A file, whole.

        Raises:
            KeyError: there is none.
            BadInput: it is larger than ``most`` bytes.
        """
        with self._paths[name].open("rb") as file:
            return _whole(file, name, most)


class LoneFile(FolderTree):
    """One file under the name that it was given."""

    def __init__(self, path: Path, name: str) -> None:
        self.notes = []
        self._paths = {PurePosixPath(name.replace("\\", "/")).name or "file": path}


class ZipTree:
    """The files of a zip, by cleaned paths; ``notes`` say what was repaired."""

    def __init__(self, path: Path, limits: Limits = LIMITS) -> None:
        """Reads the directory of the zip and nothing else.

        Raises:
            BadInput: it is damaged, encrypted, or made to harm.
        """
        self.notes: list[str] = []
        with path.open("rb") as file:
            _check_directory(file, limits)
        try:
            self._zip = zipfile.ZipFile(path)
        except _DAMAGE as error:
            raise _damaged(str(error)) from error
        entries = self._zip.infolist()
        if len(entries) > limits.entries:
            raise _too_many(limits)
        _check_sizes(entries, self._zip.start_dir, limits)
        self._entries: dict[str, zipfile.ZipInfo] = {}
        self._noted = Notes()
        for entry in entries:
            name = self._cleaned(entry, limits)
            if entry.is_dir() or name.endswith("/") or _RUBBISH.search(name):
                continue
            if name in self._entries:
                self._noted.count("Files that the archive holds twice, of which the last was taken", name)
            self._entries[name] = entry
        self.notes += self._noted.sentences()

    def names(self) -> list[str]:
        """Every path, in the order of the archive."""
        return list(self._entries)

    def size(self, name: str) -> int:
        """Bytes of a file when unpacked.

        Raises:
            KeyError: there is none.
        """
        return self._entries[name].file_size

    def read(self, name: str, *, most: int) -> bytes:
        """A file, whole.

        Raises:
            KeyError: there is none.
            BadInput: it is larger than ``most`` bytes, or cannot be read.
        """
        entry = self._entries[name]
        if entry.file_size > most:
            raise _too_large(name, most)
        try:
            with self._zip.open(entry) as file:
                return _whole(file, name, most)
        except _DAMAGE as error:
            raise _damaged(f"{name!r}: {error}") from error

    def close(self) -> None:
        """Closes the zip."""
        self._zip.close()

    def _cleaned(self, entry: zipfile.ZipInfo, limits: Limits) -> str:
        """The path of an entry, or BadInput when it leads elsewhere or is no plain file."""
        # ``filename`` ends at a NUL, ``orig_filename`` is what the archive says.
        name = entry.orig_filename
        if not entry.flag_bits & 0x800 and not name.isascii():
            name = self._repaired(name)
        if "\\" in name:
            self._noted.count("Paths that were read with / between their folders", name)
            name = name.replace("\\", "/")
        if "\0" in name or _DRIVE.match(name) or name.startswith("/") or ".." in name.split("/"):
            raise BadInput(f"The archive has the path {name!r:.200}, which leads out of it.", code="unsafe_archive")
        if len(name) > limits.name_characters or name.count("/") > limits.depth:
            raise BadInput(f"The path {name!r:.60}… is too long or too deep.", code="unsafe_archive")
        # The upper half of what Unix keeps of a file; zero where the maker was no Unix.
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BadInput(f"{name!r} is a link or a device; a course holds files only.", code="unsafe_archive")
        if entry.flag_bits & 0x41:
            raise BadInput(f"{name!r} is encrypted; send the course without a password.", code="encrypted")
        if entry.compress_type not in _PACKINGS:
            raise BadInput(
                f"{name!r} is packed by method {entry.compress_type}; only store (0) and deflate (8) are read.",
                code="unsupported_archive",
            )
        parts = [part for part in unicodedata.normalize("NFC", name).split("/") if part not in ("", ".")]
        return "/".join(parts) + ("/" if name.endswith("/") else "")

    def _repaired(self, name: str) -> str:
        """A name whose archive did not say that it is UTF-8."""
        try:
            repaired = name.encode("cp437").decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            return name
        self._noted.count("Names that were read as UTF-8, which the archive does not say", repaired)
        return repaired


Tree = ZipTree | FolderTree


def common_root(names: list[str]) -> str:
    """The folder that holds everything, with its ``/``; empty where files lie at the top."""
    tops = {name.partition("/")[0] for name in names if not name.startswith(".")}
    if len(tops) != 1 or not all("/" in name for name in names):
        return ""
    return f"{tops.pop()}/"


def _check_directory(file: BinaryIO, limits: Limits) -> None:
    """Refuses a directory that would fill the memory before one could count its entries."""
    file.seek(0, 2)
    size = file.tell()
    file.seek(max(0, size - (1 << 16) - _END.size))
    tail = file.read()
    # The same two steps as the library's: an end without a comment, else the last one that is found.
    at = len(tail) - _END.size
    if at < 0 or not (tail[at:].startswith(_END_SIGNATURE) and tail.endswith(b"\0\0")):
        at = tail.rfind(_END_SIGNATURE)
    if at < 0 or len(tail) < at + _END.size:
        raise _damaged("its end is missing")
    directory_bytes = [_END.unpack_from(tail, at)[5]]
    far = at - _LOCATOR_BYTES - _FAR_END.size
    if far >= 0 and tail[far:].startswith(_FAR_SIGNATURE):
        directory_bytes.append(_FAR_END.unpack_from(tail, far)[8])
    if any(limits.directory_bytes < told < 0xFFFFFFFF for told in directory_bytes):
        raise _too_many(limits)


def _check_sizes(entries: list[zipfile.ZipInfo], directory_at: int, limits: Limits) -> None:
    total = packed = 0
    for entry in entries:
        if entry.file_size > limits.ratio_from_bytes and entry.file_size > limits.ratio * entry.compress_size:
            raise _bomb(f"{entry.filename!r:.200} would grow to {entry.file_size} bytes from {entry.compress_size}")
        total += entry.file_size
        packed += entry.compress_size
    if total > limits.total_bytes or (total > 8 * limits.ratio_from_bytes and total > limits.ratio * packed):
        raise _bomb(f"its files would grow to {total} bytes from {packed}")
    # A small archive can name the same bytes a million times.
    placed = sorted(entries, key=lambda entry: entry.header_offset)
    for here, following in itertools.pairwise(placed):
        if here.header_offset + _LOCAL_HEADER_BYTES + here.compress_size > following.header_offset:
            raise _bomb(f"{here.filename!r:.200} and {following.filename!r:.200} share their bytes")
    # Nor is a size believed that hides how far a file would grow.
    if placed and placed[-1].header_offset + _LOCAL_HEADER_BYTES + placed[-1].compress_size > directory_at:
        raise _bomb(f"{placed[-1].filename!r:.200} is said to be longer than the archive")


def _whole(file: IO[bytes], name: str, most: int) -> bytes:
    """What is left of a file; what it says of its size is not believed."""
    read = bytearray()
    while chunk := file.read(_CHUNK_BYTES):
        read += chunk
        if len(read) > most:
            raise _too_large(name, most)
    return bytes(read)


def _too_large(name: str, most: int) -> BadInput:
    return BadInput(f"{name!r} is larger than {most / (1 << 20):g} MiB.", code="file_too_large")


def _too_many(limits: Limits) -> BadInput:
    return BadInput(f"There are more than {limits.entries} files in it.", code="unsafe_archive")


def _damaged(what: str) -> BadInput:
    return BadInput(f"The archive is damaged or cut off: {what}.", code="damaged_archive")


def _bomb(what: str) -> BadInput:
    return BadInput(f"The archive is made to fill a disk: {what}.", code="unsafe_archive")
