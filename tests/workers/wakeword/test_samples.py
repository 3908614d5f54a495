"""Clips in a folder: what is there is whole, and what is there is not made again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from workers.wakeword.samples import Sample, SampleStore


def sample(number: int, count: int = 400) -> Sample:
    tone = np.sin(np.arange(count) * (0.01 + 0.001 * number)).astype(np.float32) * 0.5
    return Sample(tone, number % 2, "positive", "hibari", f"take {number}", "grüß dich")


def test_samples_come_back_as_they_were_to_16_bits_and_in_their_order(tmp_path: Path) -> None:
    made = [sample(number, 100 + number) for number in range(150)]
    with SampleStore(tmp_path) as store:
        for number, each in enumerate(made):
            store.add(f"key {number}", each)
    read = list(SampleStore(tmp_path))
    assert [(each.label, each.family, each.recording, each.text) for each in read] == [
        (each.label, each.family, each.recording, each.text) for each in made
    ]
    for one, other in zip(read, made, strict=True):
        assert one.samples.dtype == np.float32
        np.testing.assert_allclose(one.samples, other.samples, atol=1 / 32768)


def test_a_new_store_knows_the_keys_of_the_last_and_adds_none_twice(tmp_path: Path) -> None:
    with SampleStore(tmp_path) as store:
        store.add("a", sample(1))
    again = SampleStore(tmp_path)
    assert "a" in again
    assert "b" not in again
    with again:
        again.add("a", sample(2))
        again.add("b", sample(3))
    assert SampleStore(tmp_path).keys() == ["a", "b"]
    assert [each.recording for each in SampleStore(tmp_path)] == ["take 1", "take 3"]


def test_what_was_written_before_a_kill_is_there_and_the_rest_is_not(tmp_path: Path) -> None:
    store = SampleStore(tmp_path)
    for number in range(100):
        store.add(str(number), sample(number))
    # No flush: the process is gone, in the middle of writing the next part.
    (tmp_path / "tmpabc.tmp").write_bytes(b"PK\x03\x04 half of a part")
    again = SampleStore(tmp_path)
    assert again.keys() == [str(number) for number in range(64)]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_damaged_part_is_left_out_and_its_samples_can_be_made_again(tmp_path: Path) -> None:
    with SampleStore(tmp_path) as store:
        for number in range(130):
            store.add(str(number), sample(number))
    parts = sorted(tmp_path.glob("part-*.npz"))
    assert len(parts) == 3
    parts[1].write_bytes(parts[1].read_bytes()[:500])
    again = SampleStore(tmp_path)
    assert "70" not in again
    assert len(again) == 66
    with again:
        again.add("70", sample(70))
    assert len(list(SampleStore(tmp_path))) == 67


def test_size_and_length_are_of_what_is_written_and_clear_removes_it(tmp_path: Path) -> None:
    with SampleStore(tmp_path) as store:
        store.add("a", sample(1, 16_000))
        store.add("b", sample(2, 8_000))
    assert store.seconds == 1.5
    assert 48_000 < store.size_bytes < 52_000
    store.clear()
    assert len(store) == 0
    assert not list(tmp_path.iterdir())
