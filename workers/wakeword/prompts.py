"""Where negatives come from: Debian's recorded telephone prompts, and folders of sound that somebody names.

The prompts are the packages ``asterisk-core-sounds-{en,es,fr,it,ru}-g722``: one speaker each, about 25 minutes, free
licences. They are read out of the package files, or where the packages are installed.
"""

from __future__ import annotations

import lzma
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

from workers.errors import BadInput, RetryLater

Split = Literal["train", "test"]

LANGUAGES = ("en", "es", "fr", "it", "ru")
# Never trained on. One woman speaks both, so they go together.
TEST_LANGUAGES = ("en", "es")
INSTALLED = Path("/usr/share/asterisk/sounds")
_DOCUMENTS = Path("/usr/share/doc")

# fr_CA_f_June
_SPEAKER = re.compile(r"(?:^|/)([a-z]{2})_[A-Z]{2}_[mf]_(\w+)(?=/|$)")
# Not speech.
_NO_SPEECH = re.compile(r"(^|/)(silence/|beep|ascending-|descending-|confbridge-(join|leave)\.)")
_SOUNDS = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".aiff", ".webm", ".g722"}
_LICENCE_FILES = ("LICENSE", "LICENCE", "LICENSE.txt", "LICENCE.txt", "COPYING", "copyright")
_PACKAGE_BYTES_MAX = 256 << 20


@dataclass(frozen=True)
class SoundSource:
    """Recordings of one origin; ``files`` gives the bytes of each by name, read when asked for.

    ``split`` says what they may be used for; ``family`` and ``speaker`` are what splits go by.
    """

    name: str
    family: str
    speaker: str
    language: str
    licence: str
    credit: str
    split: Split
    files: Mapping[str, Path | bytes]

    def read(self, name: str) -> bytes:
        """One file's content."""
        content = self.files[name]
        return content if isinstance(content, bytes) else content.read_bytes()


def download(folder: Path, languages: Sequence[str] = LANGUAGES) -> list[Path]:
    """Fetches the packages of these languages with ``apt-get download``; those that are there are not fetched again.

    Raises:
        RetryLater: there is no apt-get here, or it does not get them; the text has its last line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for language in languages:
        package = f"asterisk-core-sounds-{language}-g722"
        if not list(folder.glob(f"{package}_*.deb")):
            command = ["apt-get", "download", package]
            try:
                ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
            except (OSError, subprocess.TimeoutExpired) as fault:
                raise RetryLater(f"{package} cannot be fetched: {fault}", code="prompts_missing") from fault
            if ran.returncode:
                said = (ran.stderr.strip() or "apt-get gave no reason").splitlines()[-1]
                raise RetryLater(f"{package} cannot be fetched: {said}", code="prompts_missing")
        found += sorted(folder.glob(f"{package}_*.deb"))[:1]
    return found


def sources(path: Path, *, split: Split = "train") -> list[SoundSource]:
    """What is at a path: a package file, a folder of them, a folder of prompts, or a folder of sound.

    Prompts are split by language whatever ``split`` says, which is for other sound. In such a folder each folder on the
    first level is taken for a speaker.

    Raises:
        BadInput: there is nothing there, or a package that is none.
    """
    if path.suffix == ".deb":
        return _of_package(path)
    if not path.is_dir():
        raise BadInput(f"there is no folder {str(path)!r}", code="no_such_folder")
    if packages := sorted(path.glob("*.deb")):
        return [source for package in packages for source in _of_package(package)]
    files = {
        file.relative_to(path).as_posix(): file
        for file in sorted(path.rglob("*"))
        if file.suffix.lower() in _SOUNDS and file.is_file() and not file.is_symlink()
    }
    if not files:
        raise BadInput(f"there is no sound in {str(path)!r}", code="no_sound_files")
    prompts = {name: file for name, file in files.items() if _SPEAKER.search(f"{path.name}/{name}")}
    found = list(_of_prompts({f"{path.name}/{name}": file for name, file in prompts.items()}, _installed_licence))
    return found + _of_folder(path, {name: file for name, file in files.items() if name not in prompts}, split)


def _of_folder(path: Path, files: Mapping[str, Path], split: Split) -> list[SoundSource]:
    licence = next((_first_line(path / name) for name in _LICENCE_FILES if (path / name).is_file()), "not stated")
    by_speaker: dict[str, dict[str, Path | bytes]] = {}
    for name, file in files.items():
        by_speaker.setdefault(name.partition("/")[0] if "/" in name else "", {})[name] = file
    found = []
    for speaker, theirs in by_speaker.items():
        name = f"{path.name}-{speaker}" if speaker else path.name
        found.append(SoundSource(name, f"folder-{name}", speaker or path.name, "", licence, "", split, theirs))
    return found


def _of_package(path: Path) -> list[SoundSource]:
    try:
        with tarfile.open(fileobj=BytesIO(_data(path)), mode="r:xz") as archive:
            members = {member.name.removeprefix("./"): member for member in archive if member.isreg()}
            content = {
                name: file.read()
                for name, member in members.items()
                if (name.endswith((".g722", "/copyright"))) and (file := archive.extractfile(member))
            }
    except (tarfile.TarError, lzma.LZMAError, EOFError, ValueError) as fault:
        raise BadInput(f"{path.name} is no Debian package that can be read: {fault}", code="bad_package") from fault
    said = next((text.decode("utf-8", "replace") for name, text in content.items() if name.endswith("/copyright")), "")
    found = list(
        _of_prompts({name: data for name, data in content.items() if name.endswith(".g722")}, lambda language: said)
    )
    if not found:
        raise BadInput(f"{path.name} holds no g722 prompts", code="bad_package")
    return found


def _data(path: Path) -> bytes:
    """The package's member ``data.tar.xz``: a package is an ``ar`` archive."""
    with path.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise ValueError("it does not begin as one")
        while len(header := file.read(60)) == 60:
            name, size = header[:16].decode("latin-1").strip().rstrip("/"), int(header[48:58])
            if size > _PACKAGE_BYTES_MAX:
                raise ValueError(f"its member {name} has {size} bytes")
            if name == "data.tar.xz":
                return file.read(size)
            file.seek(size + size % 2, 1)
    raise ValueError("it has no data.tar.xz")


def _of_prompts(files: Mapping[str, Path | bytes], copyright_of: Callable[[str], str]) -> Iterator[SoundSource]:
    by_speaker: dict[tuple[str, str], dict[str, Path | bytes]] = {}
    for name, content in sorted(files.items()):
        found = _SPEAKER.search(name)
        if found and not _NO_SPEECH.search(name[found.end() + 1 :]):
            by_speaker.setdefault((found[1], found[2]), {})[name[found.end() + 1 :]] = content
    for (language, speaker), theirs in by_speaker.items():
        licence, credit = _licence(copyright_of(language), language)
        split: Split = "test" if language in TEST_LANGUAGES else "train"
        name = f"prompts-{language}"
        yield SoundSource(name, name, speaker, language, licence, credit, split, theirs)


def _installed_licence(language: str) -> str:
    path = _DOCUMENTS / f"asterisk-core-sounds-{language}-g722" / "copyright"
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _licence(text: str, language: str) -> tuple[str, str]:
    """Licence and credit in a Debian copyright file: those of the language's own files, else those of all."""
    found = ("not stated", "")
    for stanza in re.split(r"\n\s*\n", text):
        files = re.search(r"^Files:\s*(.+)$", stanza, re.MULTILINE)
        licences = re.findall(r"^License:\s*(\S+)\s*$", stanza, re.MULTILINE)
        credit = re.search(r"^Copyright:\s*(.+)$", stanza, re.MULTILINE)
        if files and licences and files[1].strip() in ("*", f"{language}-*"):
            found = (licences[-1], credit[1].strip() if credit else "")
    return found


def _first_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[0].strip()[:200] if lines else "not stated"
