"""What was there before an import replaced it: files on this machine's disk, the last ten of them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from models.errors import Invalid, NotFound

KEPT = 10

_NAME = re.compile(r"snapshot-[0-9]{8}T[0-9]{12}Z\.json")


class Snapshots:
    """The snapshots in one folder, which nobody else may read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """All of them, newest first."""
        found = self._folder.iterdir() if self._folder.is_dir() else ()
        return sorted((path.name for path in found if _NAME.fullmatch(path.name)), reverse=True)

    def keep(self, file: Mapping[str, Any], at: datetime) -> str:
        """The name of the snapshot, which is durably there."""
        name = f"snapshot-{at:%Y%m%dT%H%M%S%f}Z.json"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._folder / f"{name}.draft"
        try:
            with open(draft, "xb", opener=_private) as stream:
                stream.write(json.dumps(file, ensure_ascii=False).encode("utf-8", "surrogatepass"))
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(self._folder / name)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            # The name itself is durable only once its folder is.
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return name

    def read(self, name: str) -> dict[str, Any]:
        """The file.

        Raises:
            NotFound: there is none of this name.
            Invalid: it cannot be read.
        """
        found = None
        if _NAME.fullmatch(name):
            with suppress(FileNotFoundError):
                found = (self._folder / name).read_bytes()
        if found is None:
            raise NotFound(f"There is no snapshot {name[:100]!r}.", code="snapshot_not_found")
        try:
            file: dict[str, Any] = json.loads(found)
        except ValueError:
            raise Invalid(f"Snapshot {name} cannot be read.", code="backup_corrupt") from None
        return file

    def drop(self, name: str) -> None:
        """The snapshot is no more: nothing was replaced."""
        (self._folder / name).unlink(missing_ok=True)

    def forget_old(self) -> None:
        """Removes all but the newest."""
        for name in self.names()[KEPT:]:
            self.drop(name)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
