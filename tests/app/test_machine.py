"""Disk, memory and temporary files of this machine, and of a container in which there is less."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from app import machine
from app.machine import Space

MIB = 2**20


def test_the_disk_is_that_of_the_folder(tmp_path: Path) -> None:
    found, told = machine.disk(tmp_path), os.statvfs(tmp_path)
    assert found.total_bytes == told.f_blocks * told.f_frsize
    assert found.available_bytes <= told.f_bfree * told.f_frsize


def test_the_share_is_of_what_may_be_used_at_all() -> None:
    # Ten are kept back for root.
    assert Space(100, 45, 45).used_percent == 50.0
    assert Space(0, 0, 0).used_percent == 0.0


def test_without_a_limit_the_memory_is_the_machines(tmp_path: Path) -> None:
    found = machine.memory(tmp_path, tmp_path / "none")
    assert found.total_bytes == psutil.virtual_memory().total
    assert 0 < found.used_bytes < found.total_bytes


def group(folder: Path, limit: str, used: int, cache: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cache}\nslab 3\n")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own"
    path.write_text("0::/a/b\n")
    return path


def test_the_narrowest_container_around_us_counts(tmp_path: Path, own: Path) -> None:
    group(tmp_path / "a" / "b", str(64 * MIB), 40 * MIB, cache=10 * MIB)
    group(tmp_path / "a", str(48 * MIB), 44 * MIB)
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.memory(tmp_path, own) == Space(48 * MIB, 44 * MIB, 4 * MIB)
    # What the kernel keeps of files is given back.
    group(tmp_path / "a", "max", 44 * MIB)
    assert machine.memory(tmp_path, own) == Space(64 * MIB, 30 * MIB, 34 * MIB)


def test_a_limit_beyond_the_machine_is_none(tmp_path: Path, own: Path) -> None:
    group(tmp_path / "a" / "b", str(2**62), 40 * MIB)
    assert machine.memory(tmp_path, own).total_bytes == psutil.virtual_memory().total


def test_groups_of_the_first_version_count_too(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("12:cpu,cpuacct:/x\n3:memory:/box\n")
    folder = tmp_path / "memory" / "box"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text(f"{32 * MIB}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{16 * MIB}\n")
    (folder / "memory.stat").write_text(f"total_inactive_file {4 * MIB}\n")
    assert machine.memory(tmp_path, own) == Space(32 * MIB, 12 * MIB, 20 * MIB)


def test_temporary_files_are_those_below_tmp_and_the_drafts_of_the_store(tmp_path: Path) -> None:
    assert machine.count_temporary_files(tmp_path) == 0
    for name in ("tmp/one", "tmp/deep/two", "files/unfinished/three", "files/ab/stored", "log/web.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "tmp" / "away").symlink_to(tmp_path / "log")
    assert machine.count_temporary_files(tmp_path) == 3
