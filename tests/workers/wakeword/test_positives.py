"""The word said in many ways: every way planned is another, every clip made once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("librosa")

from workers.device import Device
from workers.errors import BadInput, Stopped
from workers.wakeword.positives import cut_after, make, plan, plan_all
from workers.wakeword.samples import Samples, SampleStore
from workers.wakeword.voices import Speak, Voice, at_hand, direct

VOICES = [
    Voice("a/one", "a", (0.7, 1.4), changes_per_take=2),
    Voice("b/one", "b", (0.8, 1.2), takes=100),
    Voice("b/two", "b", (0.8, 1.2), takes=100),
]


class Counting:
    """An engine that hums: higher for each voice, longer for each letter, and counts what it is asked."""

    def __init__(self, rate: int = 24_000) -> None:
        self.rate, self.asked = rate, list[tuple[str, str, float, int]]()

    def __call__(self, text: str, voice: str, speed: float, seed: int) -> tuple[Samples, int]:
        self.asked.append((text, voice, speed, seed))
        count = round(self.rate * 0.08 * len(text) / speed)
        hum = 0.3 * np.sin(2 * np.pi * (110 + 40 * len(voice)) * np.arange(count) / self.rate)
        return np.pad(hum.astype(np.float32), 4_000), self.rate


def nothing(share: float, phase: str) -> None:
    assert 0 <= share <= 1


def test_one_seed_plans_the_same_and_no_two_utterances_are_alike() -> None:
    planned = plan("alexa", VOICES, 400, seed=7)
    assert planned == plan("alexa", VOICES, 400, seed=7)
    assert planned != plan("alexa", VOICES, 400, seed=8)
    assert len({each.key for each in planned}) == len(planned) == 400


def test_families_get_equal_shares_however_many_voices_they_have() -> None:
    planned = plan("alexa", VOICES, 401, seed=7)
    assert Counter(each.family for each in planned) == {"a": 201, "b": 200}
    assert Counter(each.voice for each in planned if each.family == "b") == {"b/one": 100, "b/two": 100}


def test_every_stretch_of_speed_pitch_and_formants_is_met() -> None:
    planned = [each for each in plan("alexa", VOICES, 400, seed=7) if each.family == "b"]
    speeds = {each.speed for each in planned}
    assert speeds == {0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2}
    pitches, _ = np.histogram([each.pitch_semitones for each in planned], bins=9, range=(-5, 4))
    assert pitches.min() >= 15
    formants = [each.formants for each in planned]
    assert min(formants) < 0.86
    assert max(formants) > 1.12
    assert np.corrcoef([each.pitch_semitones for each in planned], formants)[0, 1] > 0.4


def test_a_voice_begins_with_the_word_alone_as_it_is_and_goes_on_with_all_ways_to_write_it() -> None:
    planned = plan("hey jarvis", VOICES, 200, seed=7)
    first = next(each for each in planned if each.voice == "b/two")
    assert (first.written, first.speed, first.pitch_semitones, first.formants) == ("hey jarvis.", 1.0, 0.0, 1.0)
    endings = Counter(each.written[len("hey jarvis")] for each in planned if not each.followed)
    assert set(endings) == {".", "!", "?", ","}
    followed = [each for each in planned if each.followed]
    assert 30 <= len(followed) <= 60
    assert all(each.written.startswith("hey jarvis, ") for each in followed)


@pytest.mark.slow
def test_clips_of_one_take_share_the_synthesis_and_the_recording(tmp_path: Path) -> None:
    speak, store = Counting(), SampleStore(tmp_path)
    planned = [each for each in plan("alexa", VOICES[:1], 40, seed=7) if not each.followed]
    made = make(planned, speak=speak, store=store, report=nothing)
    assert made.clips == made.new == len(planned)
    assert len(speak.asked) == len(set(speak.asked)) == len({each.take for each in planned}) <= len(planned) / 2 + 1
    samples = list(store)
    assert len({each.recording for each in samples}) == len(speak.asked)
    assert {(each.label, each.source, each.family, each.text) for each in samples} == {(1, "positive", "a", "alexa")}


def test_clips_are_at_16_khz_without_the_silence_around_them(tmp_path: Path) -> None:
    store = SampleStore(tmp_path)
    make(plan("alexa", VOICES[:1], 1, seed=7), speak=Counting(rate=22_050), store=store, report=nothing)
    (sample,) = store
    # Six characters of 80 ms, and 50 ms at each end.
    assert len(sample.samples) / 16_000 == pytest.approx(0.48 + 0.1, abs=0.02)


@pytest.mark.slow
def test_a_second_run_makes_only_what_is_missing(tmp_path: Path) -> None:
    planned = plan("alexa", VOICES, 30, seed=7)
    calls = 0

    def stop_in_the_middle(share: float, phase: str) -> None:
        nonlocal calls
        calls += 1
        if calls > 18:
            raise Stopped

    with pytest.raises(Stopped):
        make(planned, speak=Counting(), store=SampleStore(tmp_path), report=stop_in_the_middle)
    store, speak = SampleStore(tmp_path), Counting()
    assert len(store) == 18
    assert make(planned, speak=speak, store=store, report=nothing).new == 12
    assert sorted(store.keys()) == sorted(each.key for each in planned)
    asked = len(speak.asked)
    assert make(planned, speak=speak, store=store, report=nothing).new == 0
    assert len(speak.asked) == asked


@pytest.mark.slow
def test_what_a_voice_cannot_say_is_left_out_and_named_and_nothing_at_all_is_refused(tmp_path: Path) -> None:
    counting = Counting()

    def only_a(text: str, voice: str, speed: float, seed: int) -> tuple[Samples, int]:
        if voice.startswith("b"):
            raise BadInput("no")
        return counting(text, voice, speed, seed)

    made = make(plan("alexa", VOICES, 20, 7), speak=only_a, store=SampleStore(tmp_path / "one"), report=nothing)
    assert (made.clips, made.unsaid) == (10, ("alexa",))
    with pytest.raises(BadInput, match="no voice can say 'alexa'"):
        make(plan("alexa", VOICES[1:], 20, 7), speak=only_a, store=SampleStore(tmp_path / "two"), report=nothing)


@pytest.mark.slow
def test_near_words_take_turns_and_every_voice_says_most_of_them(tmp_path: Path) -> None:
    words = [f"word{number}" for number in range(10)]
    planned = plan_all(words, VOICES, 200, 7, source="near")
    assert max(Counter(each.word for each in planned).values()) <= 30
    assert len({each.word for each in planned if each.voice == "b/one"}) >= 9
    assert not any(each.followed for each in planned)
    store = SampleStore(tmp_path)
    make(planned[:3], speak=Counting(), store=store, report=nothing)
    assert {(each.label, each.source) for each in store} == {(0, "near")}


def test_what_follows_is_cut_off_in_the_pause_before_it() -> None:
    hum = (0.3 * np.sin(np.arange(8_000) * 0.1)).astype(np.float32)
    said = np.concatenate([hum, np.zeros(1_600, np.float32), hum])
    assert len(hum) - 500 <= len(cut_after(said, alone_seconds=0.48)) <= len(hum) + 1_600


@pytest.fixture(scope="module")
def speak(tmp_path_factory: pytest.TempPathFactory) -> Speak:
    return direct(Device("cpu", 1), tmp_path_factory.mktemp("cut graphs"))


@pytest.mark.slow
def test_every_family_at_hand_says_the_word_and_no_two_of_its_clips_are_the_same(tmp_path: Path, speak: Speak) -> None:
    voices = at_hand(espeak_variants=20)
    families = {voice.family for voice in voices}
    assert "hibari" in families
    store = SampleStore(tmp_path)
    make(plan("computer", voices, 12 * len(families), 3), speak=speak, store=store, report=nothing)
    samples = list(store)
    assert Counter(each.family for each in samples) == dict.fromkeys(families, 12)
    assert len({each.samples.tobytes() for each in samples}) == len(samples)
    for each in samples:
        assert 0.25 < len(each.samples) / 16_000 < 1.5
        assert np.abs(each.samples).max() > 0.05


def test_every_espeak_voice_named_is_one_it_has(speak: Speak) -> None:
    pytest.importorskip("espeakng_loader")
    names = [voice.name for voice in at_hand(espeak_variants=400) if voice.family == "espeak"]
    assert len(set(names)) == len(names) == 400
    sounds = {speak("alexa", name, 1.0, 0)[0].tobytes() for name in names[::20]}
    assert len(sounds) == 20
