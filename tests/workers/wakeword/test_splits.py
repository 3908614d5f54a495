"""Who is heard in training and who is not: by voice and by take, never by clip."""

from __future__ import annotations

import numpy as np
import pytest

from workers.wakeword import splits
from workers.wakeword.samples import Sample
from workers.wakeword.splits import USER, Split
from workers.wakeword.voices import Voice


def voice(family: str, name: str, changes_per_take: int = 1) -> Voice:
    return Voice(name, family, (0.8, 1.2), changes_per_take=changes_per_take)


def clip(family: str, recording: str) -> Sample:
    return Sample(np.zeros(8, np.float32), 1, "positive", family, recording, "word")


MANY = [voice("espeak", f"espeak/{number}") for number in range(200)]
ONE = [voice("hibari", "hibari")]
SLOW = [voice("piper", "piper", 3)]


def test_of_three_families_one_is_the_tests_alone() -> None:
    found = splits.split([*MANY, *ONE, *SLOW], [], seed=1)
    assert found.held_out == "piper"
    assert {found.of(clip("piper", f"piper:{take}")) for take in range(50)} == {"test"}
    uses = [found.of(clip("hibari", f"hibari:{take}")) for take in range(500)]
    assert 0.7 < uses.count("train") / 500 < 0.9


def test_where_a_family_has_many_voices_a_voice_is_on_one_side_with_all_its_takes() -> None:
    found = splits.split([*MANY, *ONE], [], seed=1)
    uses: list[Split] = []
    for each in MANY:
        sides = {found.of(clip("espeak", f"{each.name}:{take}")) for take in range(5)}
        assert len(sides) == 1
        uses += sides
    assert {"train", "val", "test"} == set(uses)


def test_changes_of_one_take_are_on_one_side() -> None:
    found = splits.split(ONE, [], seed=1)
    assert found.of(clip("hibari", "hibari:abc")) == found.of(clip("hibari", "hibari:abc"))
    assert {found.of(clip("hibari", f"hibari:{take}")) for take in range(200)} == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("count", "train", "val", "test"), [(0, 0, 0, 0), (1, 1, 0, 0), (2, 2, 0, 0), (3, 2, 0, 1), (5, 3, 1, 1)]
)
def test_of_three_recordings_one_is_kept_for_the_test(count: int, train: int, val: int, test: int) -> None:
    names = [f"recordings/{number}.wav" for number in range(count)]
    found = splits.split(ONE, names, seed=1)
    uses = [found.of(clip(USER, name)) for name in names]
    assert (uses.count("train"), uses.count("val"), uses.count("test")) == (train, val, test)
    said = " ".join(found.notes)
    assert ("No recording was held out" in said) == (count < 3)
    assert "hibari" in said


def test_another_seed_is_another_split() -> None:
    takes = [clip("hibari", f"hibari:{take}") for take in range(100)]
    first, second = (splits.split(ONE, [], seed=seed) for seed in (1, 2))
    assert [first.of(take) for take in takes] != [second.of(take) for take in takes]
    assert [first.of(take) for take in takes] == [splits.split(ONE, [], seed=1).of(take) for take in takes]
