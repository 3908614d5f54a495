"""What is sent to be transcribed: sound files, alone or in a zip, and a list that says more of some of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from workers.errors import BadInput
from workers.importers.archive import LoneFile, Tree, ZipTree

MANIFEST = "manifest.json"
# Of one sound file; as much as an upload may have by default.
_MOST_BYTES = 200 << 20
_MANIFEST_BYTES = 16 << 20
# By their names: whatever else lies in a zip (a licence, a table) is no sound.
SOUND = frozenset(
    ".wav .wave .mp3 .flac .ogg .oga .opus .m4a .mp4 .aac .aif .aiff .amr .3gp .wma .webm .mka .au .caf .w64".split()
)


@dataclass(frozen=True)
class Said:
    """What a manifest says of a file; ``gold``: its text is right, and is for judging transcribers."""

    language: str | None = None
    text: str | None = None
    gold: bool = False


@dataclass(frozen=True)
class Sent:
    """One sound file of a batch."""

    name: str
    tree: Tree
    said: Said = field(default_factory=Said)

    @contextmanager
    def unpacked(self, into: Path) -> Iterator[Path]:
        """The file on its own, for as long as the block runs.

        Raises:
            BadInput: it is damaged or too large.
        """
        into.write_bytes(self.tree.read(self.name, most=_MOST_BYTES))
        try:
            yield into
        finally:
            into.unlink(missing_ok=True)


def read(files: Mapping[str, Path], manifest: str | None) -> list[Sent]:
    """The sound in what was sent: ``files`` by their names, zips or sound; ``manifest`` beside them, or in a zip.

    Raises:
        BadInput: there is no sound in it, the manifest names what is not there, or the zip is made to harm.
    """
    trees = [_tree(name, path) for name, path in files.items()]
    found = {name: tree for tree in trees for name in tree.names() if PurePosixPath(name).suffix.lower() in SOUND}
    inside = next((tree.read(MANIFEST, most=_MANIFEST_BYTES) for tree in trees if MANIFEST in tree.names()), None)
    said = _manifest(manifest if manifest is not None else None if inside is None else _decoded(inside))
    if missing := sorted(set(said) - set(found)):
        raise BadInput(f"manifest: {missing[0]!r} is not among the files that were sent", code="bad_manifest")
    if not found:
        raise BadInput("There is no sound among the files that were sent.", code="no_sound")
    return [Sent(name, tree, said.get(name, Said())) for name, tree in sorted(found.items())]


def _tree(name: str, path: Path) -> Tree:
    with path.open("rb") as file:
        is_zip = file.read(4) in (b"PK\3\4", b"PK\5\6")
    return ZipTree(path) if is_zip else LoneFile(path, name)


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{MANIFEST} is not UTF-8.", code="bad_manifest") from None


def _manifest(text: str | None) -> dict[str, Said]:
    if text is None:
        return {}
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise BadInput(f"manifest: it is not valid JSON: {str(fault)[:200]}", code="bad_manifest") from None
    if not isinstance(entries, list):
        raise BadInput("manifest: it is not a list of objects", code="bad_manifest")
    return dict(_entry(entry, f"manifest[{number}]") for number, entry in enumerate(entries))


def _entry(entry: Any, where: str) -> tuple[str, Said]:
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        raise BadInput(f'{where}: it is no object with a "file"', code="bad_manifest")
    for name, most in (("language", 35), ("text", 100_000)):
        value = entry.get(name)
        if value is not None and (not isinstance(value, str) or "\0" in value or not 0 < len(value.strip()) <= most):
            shown = repr(value)[:60]
            raise BadInput(f"{where}.{name}: {shown} is no text of 1 to {most} characters", code="bad_manifest")
    gold = entry.get("gold", False)
    if not isinstance(gold, bool) or (gold and entry.get("text") is None):
        raise BadInput(f"{where}.gold: it is true or false, and needs a text", code="bad_manifest")
    return entry["file"], Said(entry.get("language"), entry.get("text"), gold)
