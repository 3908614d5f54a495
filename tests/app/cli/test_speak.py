"""``speak``: through the real queue and the real engine."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.app.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("clean", "worker")

TEXT = "The tide is turning."


def test_a_text_is_spoken_into_a_file_and_found_the_second_time(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "tide.wav"
    first = run("speak", TEXT, "-o", str(path), "--json").json
    second = run("speak", TEXT, "-o", str(path), "--json").json
    assert (first["cache_status"], second["cache_status"]) == ("miss", "hit")
    samples, rate = soundfile.read(path)
    assert len(samples) / rate == pytest.approx(first["duration_seconds"], abs=0.001)
    assert path.stat().st_size == second["size_bytes"]
    assert [*tmp_path.iterdir()] == [path]


def test_the_ending_chooses_the_format_and_standard_input_is_read(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "tide.flac"
    shown = run("speak", "-", "-o", str(path), stdin=TEXT)
    assert shown.status == 0
    assert shown.out.startswith(f"{path}: 1.")
    assert soundfile.info(path).format == "FLAC"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["  "], "text: '  ' is empty"),
        ([TEXT, "--voice", "nobody"], "voice_id 'nobody' is unknown; there are "),
        ([TEXT, "--speed", "9"], "speed: 9.0 is outside 0.25 to 4"),
        ([TEXT, "--format", "shellac"], "format: 'shellac' is not one of "),
    ],
)
def test_what_cannot_be_spoken_is_one_sentence_and_no_file(
    arguments: list[str], error: str, run: Run, tmp_path: Path
) -> None:
    shown = run("speak", *arguments, "-o", str(tmp_path / "out.wav"))
    assert (shown.status, shown.out) == (1, "")
    assert shown.err.startswith(error)
    assert shown.err.count("\n") == 1
    assert not [*tmp_path.iterdir()]


def test_a_place_that_cannot_be_written_is_told_before_anything_is_spoken(run: Run, tmp_path: Path) -> None:
    shown = run("speak", TEXT, "-o", str(tmp_path))
    assert (shown.status, shown.err) == (1, f"{tmp_path} is a folder; name a file in it.\n")
    shown = run("speak", TEXT, "-o", str(tmp_path / "none" / "out.wav"))
    assert (shown.status, shown.err) == (1, f"There is no folder {tmp_path / 'none'}.\n")


def test_a_link_stays_a_link_and_a_pipe_a_pipe(run: Run, tmp_path: Path) -> None:
    link, pipe = tmp_path / "link.wav", tmp_path / "pipe"
    link.symlink_to(tmp_path / "target.wav")
    os.mkfifo(pipe)
    assert run("speak", TEXT, "-o", str(link)).status == 0
    assert link.is_symlink()
    read: list[Any] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    assert run("speak", TEXT, "-o", str(pipe)).status == 0
    reader.join(10)
    assert pipe.is_fifo()
    assert read == [(tmp_path / "target.wav").read_bytes()]
