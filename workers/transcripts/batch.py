"""What is sent to be transcribed: sound files, alone or in a zip, and a list that says more of some of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from workers.errors import BadInput
from workers.importers.archive import LoneFile, Tree, ZipTree, common_root

MANIFEST = "manifest.json"
# Of one sound file; as much as an upload may have by default.
_MOST_BYTES = 200 << 20
_MANIFEST_BYTES = 16 << 20
# By their names: whatever else lies in a zip (a licence, a table) is no sound.
SOUND = frozenset(
    (
        ".wav .wave .mp3 .mp2 .mpga .flac .ogg .oga .ogv .opus .m4a .m4b .mp4 .mov .aac .ac3 .aif .aiff .aifc"
        " .amr .3gp .wma .asf .webm .mka .mkv .au .caf .w64"
    ).split()
)


@dataclass(frozen=True)
class Said:
    """What a manifest says of a file; ``gold`` is what is right, of one that is for judging transcribers."""

    language: str | None = None
    gold: str | None = None
    draft: str | None = None


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


def read(files: Mapping[str, Path], manifest: str | None) -> tuple[list[Sent], list[str]]:
    """The sound in what was sent, and the names of what is none: ``files`` by their names, zips or sound.

    ``manifest`` may come beside them, or lie in a zip, at the top or in the one folder that holds everything.

    Raises:
        BadInput: there is no sound in it, something is there twice, the manifest names what is not there, or the zip is
            made to harm.
    """
    found: dict[str, Tree] = {}
    others: list[str] = []
    lists = [] if manifest is None else [_manifest(manifest, "")]
    for name, path in files.items():
        tree = _tree(name, path)
        if any("twice" in note for note in tree.notes):
            raise BadInput(f"{name!r} holds files of one name: {'; '.join(tree.notes)}", code="sent_twice")
        root = common_root(tree.names())
        for inside in tree.names():
            if isinstance(tree, ZipTree) and inside == root + MANIFEST:
                if manifest is None:
                    lists.append(_manifest(_decoded(tree.read(inside, most=_MANIFEST_BYTES)), root))
            # What is sent by itself is meant; in a zip there are licences and tables.
            elif isinstance(tree, ZipTree) and PurePosixPath(inside).suffix.lower() not in SOUND:
                others.append(inside)
            elif inside in found:
                raise BadInput(f"{inside!r} is sent twice, in {name!r} and before.", code="sent_twice")
            else:
                found[inside] = tree
    said = {name: each for entries in lists for name, each in entries.items()}
    if missing := sorted(set(said) - set(found)):
        raise BadInput(f"manifest: {missing[0]!r} is not among the sound that was sent", code="bad_manifest")
    if not found:
        raise BadInput("There is no sound among the files that were sent.", code="no_sound")
    return [Sent(name, tree, said.get(name, Said())) for name, tree in sorted(found.items())], others


def _tree(name: str, path: Path) -> Tree:
    with path.open("rb") as file:
        is_zip = file.read(4) in (b"PK\3\4", b"PK\5\6")
    return ZipTree(path) if is_zip else LoneFile(path, name)


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{MANIFEST} is not UTF-8.", code="bad_manifest") from None


def _manifest(text: str, root: str) -> dict[str, Said]:
    """What is said of each file, whose path counts from ``root``."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise BadInput(f"manifest: it is not valid JSON: {str(fault)[:200]}", code="bad_manifest") from None
    if not isinstance(entries, list):
        raise BadInput("manifest: it is not a list of objects", code="bad_manifest")
    said: dict[str, Said] = {}
    for number, entry in enumerate(entries):
        name, found = _entry(entry, f"manifest[{number}]")
        if root + name in said:
            raise BadInput(f"manifest[{number}].file: {name!r} stands there twice", code="bad_manifest")
        said[root + name] = found
    return said


def _entry(entry: Any, where: str) -> tuple[str, Said]:
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        raise BadInput(f'{where}: it is no object with a "file"', code="bad_manifest")
    for name, most in (("language", 35), ("text", 100_000), ("draft", 100_000)):
        value = entry.get(name)
        if value is not None and not _can_be_kept(value, most):
            shown = ascii(value)[:60]
            raise BadInput(f"{where}.{name}: {shown} is no text of 1 to {most} characters", code="bad_manifest")
    gold, text, draft = entry.get("gold", False), entry.get("text"), entry.get("draft")
    if not isinstance(gold, bool) or (gold and text is None):
        raise BadInput(f"{where}.gold: it is true or false, and needs a text", code="bad_manifest")
    return entry["file"], Said(entry.get("language"), text if gold else None, draft if gold else draft or text)


def _can_be_kept(value: object, most: int) -> bool:
    if not isinstance(value, str) or "\0" in value or not 0 < len(value.strip()) <= most:
        return False
    # Half of a surrogate pair is no character.
    return value.isascii() or value == value.encode("utf-8", "replace").decode()
