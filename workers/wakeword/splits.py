"""Which clips a net learns from, which decide when it is good, and which nobody looks at before the end.

Split by whose voice it is and by which take, never by clip: a net that knows a take knows every change of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from workers.wakeword.samples import Sample
from workers.wakeword.voices import Voice, families

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
# The family of what the user recorded.
USER = "user"

# So many voices of a family, and whole voices are held out; of fewer, takes.
_MANY_VOICES = 10
_VAL_SHARE, _TEST_SHARE = 0.1, 0.1
# With fewer families none can be spared: what is not trained on is heard worse.
_FAMILIES_TO_SPARE_ONE = 3


@dataclass(frozen=True)
class Splits:
    """The use of every clip. ``notes`` are sentences on what the figures can and cannot say.

    ``held_out`` is the family that only the test hears; None where there were too few.
    """

    held_out: str | None
    by_voice: frozenset[str]
    recordings: dict[str, Split]
    notes: tuple[str, ...]
    seed: int

    def of(self, sample: Sample) -> Split:
        """What this clip is for."""
        if sample.family == USER:
            return self.recordings.get(sample.recording, "train")
        if sample.family == self.held_out:
            return "test"
        voice = sample.recording.rpartition(":")[0]
        return self._drawn(f"{sample.family}:{voice if sample.family in self.by_voice else sample.recording}")

    def _drawn(self, group: str) -> Split:
        draw = int.from_bytes(hashlib.sha256(f"{self.seed}:{group}".encode()).digest()[:8], "big") / 2**64
        if draw < _TEST_SHARE:
            return "test"
        return "val" if draw < _TEST_SHARE + _VAL_SHARE else "train"


def split(voices: Sequence[Voice], recordings: Sequence[str], seed: int) -> Splits:
    """How clips of the word are split, given who speaks it and the names of what the user recorded.

    Of three or more families of voices the one that is slowest to speak is the test's alone, which needs few clips of
    it. Of the others whole voices are held out where a family has ten or more, else takes. Of the user's recordings one
    in three is the test's, and of five one is the validation's.
    """
    by_family = families(voices)
    held_out = None
    if len(by_family) >= _FAMILIES_TO_SPARE_ONE:
        held_out = max(by_family, key=lambda family: by_family[family][0].changes_per_take)
    by_voice = frozenset(family for family, members in by_family.items() if len(members) >= _MANY_VOICES)
    for_test, for_val = len(recordings) // 3, len(recordings) // 5
    counts: dict[Split, int] = {"train": len(recordings) - for_test - for_val, "val": for_val, "test": for_test}
    uses = [use for use, count in counts.items() for _ in range(count)]
    notes = _notes(sorted(by_family), held_out, for_test)
    return Splits(held_out, by_voice, dict(zip(recordings, uses, strict=True)), notes, seed)


def _notes(named: Sequence[str], held_out: str | None, recordings_for_test: int) -> tuple[str, ...]:
    notes = []
    if held_out is None and named:
        notes.append(
            f"Test clips of the word are spoken by voices of {' and '.join(named)}, as those of training are, in other "
            "takes: expect more misses of people. Install more voices (make voices), or record three or more takes."
        )
    if not recordings_for_test:
        notes.append("No recording was held out for the test; of three or more one is.")
    return tuple(notes)
