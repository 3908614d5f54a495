"""What a training hears: recordings, the word by every voice, what is nearly it, and everybody else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from workers.device import Device
from workers.errors import BadInput
from workers.wakeword import backdrop, near, positives, recordings, splits, voices, windows
from workers.wakeword.augment import Augmenter
from workers.wakeword.backdrop import Backdrop
from workers.wakeword.negatives import NegativeCache, SourceInfo
from workers.wakeword.phrases import COMMON
from workers.wakeword.plan import Plan
from workers.wakeword.samples import Sample, Samples, SampleStore
from workers.wakeword.splits import USER, Split, Splits
from workers.wakeword.voice_change import changed
from workers.wakeword.voices import Voice
from workers.wakeword.windows import Front, Windows

Report = Callable[[float, str], None]

WINDOW_SECONDS = 2.0
# Of each clip two windows, of those that decide three.
_WINDOWS_A_CLIP, _VAL_WINDOWS_A_CLIP = 2, 3
_HELD_OUT_CLIPS = 200
# What people say with their own mouth is worth more than any voice of ours.
_RECORDED_SHARE = 0.25
_NEAR_WORDS = 84
# So that there are near words that were never trained on, and it is told how those do.
_TEST_ONLY_EVERY = 7
_COMMON_SHARE = 0.2
_HALVES_SHARE = 0.15
_CAPTURED_SHARE = 0.15
_TALK = 60


@dataclass
class Heard:
    """Clips with the word or nearly the word, by what they are for."""

    word: dict[Split, list[Sample]]
    near: dict[Split, list[Sample]]


class Gathering:
    """Makes and keeps the clips and features of one training in its folder; each step goes on where it was."""

    def __init__(self, plan: Plan, folder: Path, front: Front) -> None:
        self.plan = plan
        self.front = front
        self.warnings: list[str] = []
        self._folder = folder
        self._voices = voices.at_hand() if plan.options.use_tts_positives else []
        self._recorded = self._checked(plan.recordings) + self._checked(plan.misses)
        self._alarms = self._captured(plan.false_alarms)
        self.splits: Splits = splits.split(self._voices, [clip.recording for clip in self._recorded], plan.seed)
        self.heard: Heard | None = None

    @property
    def recorded(self) -> list[Sample]:
        """What the user recorded, trimmed."""
        return self._recorded

    def _checked(self, names: Sequence[str]) -> list[Sample]:
        clips = []
        for name in names:
            found = recordings.check((self._folder / name).read_bytes(), Path(name).name)
            self.warnings += found.warnings
            clips.append(Sample(found.samples, 1, "positive", USER, name, self.plan.wake_word))
        return clips

    def _captured(self, names: Sequence[str]) -> list[Sample]:
        clips = []
        for name in names:
            try:
                found = recordings.check((self._folder / name).read_bytes(), Path(name).name)
            except BadInput as fault:
                self.warnings.append(f"A false alarm is not learned from: {fault.message}")
                continue
            clips.append(Sample(found.samples, 0, "near", "captured", name, "(false alarm)"))
        return clips

    # --- Clips --------------------------------------------------------------------------------------------------------

    def speak(self, report: Report) -> None:
        """Has the word said by the voices, and then what is nearly it.

        Raises:
            BadInput: there is nobody to learn the word from.
        """
        store = SampleStore(self._folder / "clips")
        utterances = self._utterances
        if not utterances and not self._recorded:
            raise BadInput("there is no recording, and no voice is to say the word", code="nothing_to_say")
        if utterances:
            speak = voices.direct(Device(self.plan.device, self.plan.threads), self._folder / "voices")
            made = positives.make(utterances, speak=speak, store=store, report=report)
            if made.unsaid:
                self.warnings.append("No voice could say: " + ", ".join(made.unsaid[:5]))
        self.heard = self._sorted(store)

    @property
    def _mine(self) -> list[Voice]:
        """The voices that training may hear."""
        return [voice for voice in self._voices if voice.family != self.splits.held_out]

    @cached_property
    def _utterances(self) -> list[positives.Utterance]:
        """All that is to be said: the word, what is nearly it, and what is not."""
        options, seed, word = self.plan.options, self.plan.seed, self.plan.wake_word
        count = -(-self.plan.positive_windows // _WINDOWS_A_CLIP)
        mine = self._mine
        theirs = [voice for voice in self._voices if voice.family == self.splits.held_out]
        few = min(_HELD_OUT_CLIPS, count)
        wanted = positives.plan(word, mine, count, seed) if mine else []
        wanted += positives.plan(word, theirs, few, seed) if theirs else []
        if options.use_hard_negatives and options.hard_negative_ratio > 0 and self._voices:
            found = near.near(word, _NEAR_WORDS, seed)
            self.warnings += found.warnings
            nearly, common = [each.text for each in found.words], list(COMMON)
            near_count = round(count * options.hard_negative_ratio * (1 - _COMMON_SHARE - _HALVES_SHARE))
            common_count = round(count * options.hard_negative_ratio * _COMMON_SHARE)
            for some, share in ((mine, 1.0), (theirs, few / count)):
                if some and nearly:
                    wanted += positives.plan_all(nearly, some, round(near_count * share), seed, source="near")
                if some:
                    wanted += positives.plan_all(common, some, round(common_count * share), seed, source="speech")
        return wanted

    def _sorted(self, store: SampleStore) -> Heard:
        options = self.plan.options
        word: dict[Split, list[Sample]] = {name: [] for name in splits.SPLITS}
        nearly: dict[Split, list[Sample]] = {name: [] for name in splits.SPLITS}
        kept = {utterance.key for utterance in self._utterances}
        made = [sample for key, sample in zip(store.keys(), store, strict=True) if key in kept]
        texts = list(dict.fromkeys(sample.text for sample in made if sample.source == "near"))
        test_only = set(texts[_TEST_ONLY_EVERY - 1 :: _TEST_ONLY_EVERY])
        for sample in made:
            use = "test" if sample.text in test_only else self.splits.of(sample)
            (word if sample.source == "positive" else nearly)[use].append(sample)
        for use, clips in word.items():
            clips += self._repeated([clip for clip in self._recorded if self.splits.of(clip) == use], use, len(clips))
        if options.use_hard_negatives and options.hard_negative_ratio > 0:
            for use in splits.SPLITS:
                whole = word[use][:: max(1, round(1 / _HALVES_SHARE))]
                nearly[use] += [half for sample in whole for half in near.halves(sample)]
        count = round(_CAPTURED_SHARE * max(100, len(nearly["train"])))
        nearly["train"] += [self._alarms[at % len(self._alarms)] for at in range(count if self._alarms else 0)]
        if not word["val"]:
            # Better than nothing, and said: each window is changed in another way.
            word["val"] = word["train"][:50]
            self.warnings.append("There were too few clips to hold any out: what the curves show is too good.")
        return Heard(word, nearly)

    def _repeated(self, clips: Sequence[Sample], use: Split, beside: int) -> list[Sample]:
        """Recordings as often as they should count, in training some of them a little higher, lower, or by a larger
        or a smaller person."""
        if not clips:
            return []
        if use != "train":
            return list(clips)
        count = max(len(clips), round(beside * _RECORDED_SHARE / (1 - _RECORDED_SHARE)) or 200)
        draws = np.random.default_rng([self.plan.seed, 7])
        made = list(clips)
        kinds = [changed_of(clip, draws) for clip in clips for _ in range(8)]
        made += [(kinds if at % 2 else clips)[at % len(kinds if at % 2 else clips)] for at in range(count - len(made))]
        return made

    # --- Windows ------------------------------------------------------------------------------------------------------

    @cached_property
    def _talk(self) -> list[Samples]:
        found = [sample.samples for source in self.sources("train") for sample in self._cache_chunks(source, 25)]
        if not found and self.heard:
            found = [sample.samples for sample in self.heard.near["train"] if sample.source == "speech"]
        return found[:_TALK]

    def _cache_chunks(self, source: SourceInfo, count: int) -> list[Sample]:
        assert self._cache is not None
        return [sample for sample, _ in zip(self._cache.chunks_of(source), range(count), strict=False)]

    def windows(self, kind: str, use: Split, report: Report) -> Windows:
        """The windows of one kind (``word`` or ``near``) for one use."""
        assert self.heard is not None
        options = self.plan.options
        clips = list((self.heard.word if kind == "word" else self.heard.near)[use])
        if use == "train":
            ratio = 1.0 if kind == "word" else options.hard_negative_ratio
            count = round(self.plan.positive_windows * ratio)
            if kind == "near" and clips:
                count = max(count, len(clips))
        else:
            count = len(clips) * _VAL_WINDOWS_A_CLIP
        order = np.random.default_rng([self.plan.seed, 3]).permutation(len(clips))
        return windows.make(
            [clips[at] for at in order],
            count if clips else 0,
            front=self.front,
            augmenter=Augmenter(WINDOW_SECONDS, talk=self._talk, seed=self.plan.seed),
            folder=self._folder / f"windows-{self.front.name}-{kind}-{use}",
            seed=self.plan.seed * 10 + splits.SPLITS.index(use) * 2 + (kind == "near"),
            threads=self.plan.threads,
            report=report,
        )

    # --- Everybody else -----------------------------------------------------------------------------------------------

    @cached_property
    def _cache(self) -> NegativeCache | None:
        return NegativeCache(self.plan.negatives) if self.plan.negatives else None

    def sources(self, use: Split) -> list[SourceInfo]:
        """The sources of the negative cache for one use; of those that may be trained on, the last is held out."""
        if self._cache is None or not self.plan.options.use_real_negatives:
            return []
        found = self._cache.info().sources
        if use == "test":
            return [source for source in found if source.split == "test"]
        trained = [source for source in found if source.split == "train"]
        if use == "val":
            return trained[-1:] if len(trained) > 1 else []
        return trained[:-1] if len(trained) > 1 else trained

    def others(self, use: Split, report: Report) -> Backdrop:
        """Speech without the word for one use."""
        own = None if self.front.name in ("embedding", "mel") else self._folder / "others"
        if self._cache is None:
            return Backdrop([], self.front)
        rows = backdrop.rows(
            self._cache,
            self.sources(use),
            self.front,
            changed=use == "train",
            threads=self.plan.threads,
            report=report,
            kept_in=own,
        )
        return Backdrop(rows, self.front)


def changed_of(clip: Sample, draws: np.random.Generator) -> Sample:
    """The recording as somebody else might have said it."""
    semitones, formants = float(draws.uniform(-2.5, 2.5)), float(draws.uniform(0.9, 1.12))
    samples = changed(clip.samples, semitones, formants)
    peak = float(np.abs(samples).max())
    return replace(clip, samples=samples if peak <= 0.99 else samples * np.float32(0.99 / peak))
