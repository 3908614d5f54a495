"""Where jobs of a kind keep what they have made so far, on a disk that all of their workers share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class JobFolders:
    """A folder for each job under ``root``, beside those that belong to none."""

    root: Path

    @property
    def kept(self) -> frozenset[Path]:
        """Those that are no job's."""
        return frozenset()

    def of_job(self, job_id: str) -> Path:
        """What a job has so far.

        Raises:
            ValueError: ``job_id`` is not one of ours.
        """
        folder = self.root / job_id
        if not re.fullmatch(r"\w{1,80}", job_id) or folder in self.kept:
            raise ValueError(f"{job_id!r} is no job's id")
        return folder
