"""Windows and long rows of features: made once, the same again, and as a detector sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch")

from workers.errors import Stopped
from workers.wakeword import backdrop, prompts, windows
from workers.wakeword.augment import Augmenter
from workers.wakeword.backdrop import Backdrop
from workers.wakeword.features import frontend
from workers.wakeword.negatives import NegativeCache
from workers.wakeword.samples import Sample
from workers.wakeword.windows import Windows

RATE = 16_000


def noise(seconds: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def clips(count: int) -> list[Sample]:
    return [Sample(noise(0.6, at), at % 2, "positive", "f", f"take{at}", f"text {at}") for at in range(count)]


def made(folder: Path, count: int, **changes: object) -> Windows:
    wanted = {"threads": 2, "seed": 1, "report": lambda share, what: None} | changes
    return windows.make(
        clips(10), count, front=frontend("mel"), augmenter=Augmenter(2.0, seed=1), folder=folder, **wanted
    )


def test_each_clip_has_as_many_windows_as_it_takes_and_every_one_is_another(tmp_path: Path) -> None:
    found = made(tmp_path, 70)
    assert found.frames.shape == (70, 200, 40)
    assert (len(found), found.floats.dtype) == (70, np.float32)
    assert found.texts[:12] == tuple(f"text {at % 10}" for at in range(12))
    assert found.labels.tolist()[:4] == [0, 1, 0, 1]
    assert len({row.tobytes() for row in found.frames}) == 70


def test_the_same_is_made_whoever_makes_it_and_what_is_there_is_left(tmp_path: Path) -> None:
    first = made(tmp_path / "one", 70)
    assert np.array_equal(first.frames, made(tmp_path / "two", 70, threads=1).frames)
    parts = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").iterdir()}
    assert len(parts) == 2
    # A part is lost, another is half there.
    last = max(parts)
    last.rename(last.with_name(f"{last.name}.99.part"))
    again = made(tmp_path / "one", 70)
    assert np.array_equal(first.frames, again.frames)
    assert [path.stat().st_mtime_ns == at for path, at in sorted(parts.items())] == [True, False]
    assert not np.array_equal(first.frames, made(tmp_path / "other", 70, seed=2).frames)


def test_whoever_stops_it_loses_a_part_at_most(tmp_path: Path) -> None:
    def stop(share: float, _: str) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        made(tmp_path, 300, report=stop, threads=1)
    assert len(made(tmp_path, 300)) == 300


def test_of_no_clips_there_are_no_windows(tmp_path: Path) -> None:
    found = windows.make(
        [],
        5,
        front=frontend("embedding"),
        augmenter=Augmenter(2.0),
        folder=tmp_path,
        seed=1,
        threads=1,
        report=lambda share, what: None,
    )
    assert found.frames.shape == (0, 16, 96)


@pytest.mark.parametrize("name", ["embedding", "mel"])
def test_a_row_has_the_windows_that_a_detector_scores(name: str) -> None:
    front = frontend(name)
    frames = front.frames(noise(5.0, 1)).astype(np.float16)
    row = Backdrop([frames], front)
    step = front.chunk_frames * front.score_chunks
    assert len(row) == (len(frames) - front.window_frames) // step + 1
    assert np.array_equal(row.windows(np.array([2]))[0], frames[2 * step : 2 * step + front.window_frames])
    assert row.hours == pytest.approx(len(row) * step * front.hop_seconds / 3600)


def test_no_window_is_of_two_rows() -> None:
    front = frontend("embedding")
    first, second = (np.full((40, 96), value, np.float16) for value in (1, 2))
    row = Backdrop([first, second], front)
    assert row.rows == (25, 25)
    assert all(len(np.unique(window)) == 1 for window in row.windows(slice(None)))
    assert len(Backdrop([np.zeros((10, 96), np.float16)], front)) == 0


@pytest.fixture
def cache(tmp_path: Path) -> NegativeCache:
    """Two speakers, half a minute each."""
    for number, speaker in enumerate(("one", "two")):
        (tmp_path / "sound" / speaker).mkdir(parents=True)
        soundfile.write(tmp_path / "sound" / speaker / "a.wav", noise(30, number), RATE)
    found = NegativeCache(tmp_path / "negatives")
    found.build(prompts.sources(tmp_path / "sound"), max_workers=1, report=lambda share, what: None)
    return found


def rows(cache: NegativeCache, **changes: object) -> list[np.ndarray]:
    wanted = {"changed": True, "threads": 2, "report": lambda share, what: None} | changes
    return backdrop.rows(cache, cache.info().sources, frontend("mel"), **wanted)


def test_each_source_is_there_as_it_is_and_as_it_might_have_been_recorded_elsewhere(cache: NegativeCache) -> None:
    found = rows(cache)
    assert len(found) == 4
    plain = rows(cache, changed=False)
    assert np.array_equal(found[0], plain[0])
    assert not np.array_equal(found[1], found[0])
    heard = np.concatenate([chunk.samples for chunk in cache.chunks_of(cache.info().sources[0])])
    # As one stream: nothing is lost between chunks.
    assert np.allclose(plain[0], frontend("mel").frames(heard), atol=0.02)


def test_features_are_made_once_and_go_with_their_source(cache: NegativeCache) -> None:
    rows(cache)
    source = cache.info().sources[0]
    kept = {path: path.stat().st_mtime_ns for path in cache.folder_of(source).glob("frames-*")}
    assert len(kept) == 2
    backdrop.warm(cache, frontend("mel"), threads=1, report=lambda share, what: None)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    cache.clear()
    assert not any(path.exists() for path in kept)
