"""Every clip made into many: each change does what it says, measured, and the word stays in its window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")
pytest.importorskip("librosa")

from workers.wakeword import channels, noise, rooms
from workers.wakeword.augment import Augmenter, Change, Recipe, speech_end_seconds, taped
from workers.wakeword.recordings import pitch_hz
from workers.wakeword.samples import Sample, Samples, Source

pytestmark = pytest.mark.slow

RATE = 16_000
DRAWS = range(6)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for busy cores make a transform of two seconds take ten times as long."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def speech(seconds: float = 0.7, seed: int = 1, pitch: float = 140.0) -> Samples:
    """Something voiced that swells and hisses as speech does."""
    draws = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    voice = sum(np.sin(2 * np.pi * pitch * n * time + draws.uniform(0, 6)) / n for n in range(1, 40))
    swell = 0.1 + np.abs(np.sin(2 * np.pi * 2.3 * time + draws.uniform(0, 3)))
    hiss = draws.standard_normal(len(time)) * 0.05
    return (0.1 * (voice * swell + hiss)).astype(np.float32)


def sample(samples: Samples, source: Source = "positive") -> Sample:
    return Sample(samples, int(source == "positive"), source, "user", "take 1", "alexa")


def power_db(samples: NDArray[np.floating]) -> float:
    return 10 * float(np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-20))


def band_db(samples: Samples, low: float, high: float) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    return 10 * float(np.log10(power[(frequencies >= low) & (frequencies < high)].mean() + 1e-20))


PLAIN = Change(seed=3, tail_seconds=0.2, level_db=-20.0)


# --- Noise -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_coloured_noise_falls_by_its_exponent_over_frequency(exponent: float) -> None:
    made = noise.coloured(RATE * 20, exponent, np.random.default_rng(1))
    falls = [band_db(made, hz, hz * 1.2) - band_db(made, 10 * hz, 12 * hz) for hz in (100, 200, 500)]
    assert np.mean(falls) == pytest.approx(10 * exponent, abs=0.7)
    assert power_db(made) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("ratio", [0, 5, 10, 20, 30])
@pytest.mark.parametrize("padding", [0.0, 1.3])
def test_noise_is_as_far_below_the_speech_as_told_within_a_decibel_however_much_silence_there_is(
    ratio: int, padding: float
) -> None:
    word = speech()
    placed = np.concatenate([np.zeros(round(padding * RATE), np.float32), word])
    hiss = noise.coloured(len(placed), 1.0, np.random.default_rng(1))
    added = noise.mixed(placed, hiss, ratio) - placed
    assert power_db(word) - power_db(added) == pytest.approx(ratio, abs=1.0)


def test_babble_is_of_several_people_and_of_one_loudness() -> None:
    talk = [speech(3.0, seed, pitch) for seed, pitch in ((1, 110.0), (2, 180.0), (3, 240.0))]
    made = noise.babble(talk, 32_000, 4, np.random.default_rng(1))
    assert power_db(made) == pytest.approx(0.0, abs=0.05)
    assert max(abs(np.corrcoef(made, each[:32_000])[0, 1]) for each in talk) < 0.9


def test_noise_without_a_word_is_left_as_it_is() -> None:
    hiss = noise.coloured(8_000, 0.0, np.random.default_rng(1))
    np.testing.assert_array_equal(noise.mixed(np.zeros(8_000, np.float32), hiss, 10.0), hiss)


# --- Rooms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.2, 0.4, 0.8])
@pytest.mark.parametrize("direct_db", [-6.0, 3.0, 12.0])
def test_a_room_dies_away_in_the_time_told_and_is_as_far_as_told(seconds: float, direct_db: float) -> None:
    answer = rooms.impulse(seconds, direct_db, np.random.default_rng(1)).astype(np.float64)
    energy = np.square(answer)
    assert 10 * np.log10(energy[0] / energy[1:].sum()) == pytest.approx(direct_db, abs=0.1)
    left = 10 * np.log10(np.cumsum(energy[::-1])[::-1][1:] / energy[1:].sum() + 1e-12)
    slope = np.argmax(left < -25) - np.argmax(left < -5)
    assert slope / RATE * 3 == pytest.approx(seconds, rel=0.2)


def test_a_word_in_a_room_is_not_delayed_and_as_loud_as_before_and_rings_on() -> None:
    placed = np.concatenate([speech(), np.zeros(RATE, np.float32)])
    wet = rooms.reverberated(placed, rooms.impulse(0.6, 0.0, np.random.default_rng(1)))
    assert len(wet) == len(placed)
    assert power_db(wet) == pytest.approx(power_db(placed), abs=0.1)
    agreement = np.correlate(wet[:12_000], placed[400:11_600], mode="valid")
    assert abs(int(np.argmax(np.abs(agreement))) - 400) <= 2
    assert power_db(wet[len(speech()) + 200 : len(speech()) + 1_600]) > -60


# --- Microphones, telephones -----------------------------------------------------------------------------------------


def test_band_limits_leave_what_is_inside_and_take_what_is_outside() -> None:
    white = noise.coloured(RATE * 4, 0.0, np.random.default_rng(1))
    made = channels.band_limited(white, 300, 3400)
    assert band_db(made, 350, 3000) == pytest.approx(band_db(white, 350, 3000), abs=0.1)
    assert band_db(made, 30, 200) < band_db(white, 30, 200) - 60
    assert band_db(made, 4500, 7900) < band_db(white, 4500, 7900) - 60


def test_an_equaliser_lifts_each_octave_by_its_gain() -> None:
    white = noise.coloured(RATE * 8, 0.0, np.random.default_rng(1))
    gains = np.array([0.0, -6.0, 3.0, 0.0, 8.0, -8.0, 4.0, 0.0])
    made = channels.equalised(white, gains)
    for hertz, gain in zip(channels.BANDS_HZ[1:7], gains[1:7], strict=True):
        low, high = hertz * 0.97, hertz * 1.03
        assert band_db(made, low, high) - band_db(white, low, high) == pytest.approx(gain, abs=0.6)


@pytest.mark.parametrize("level", [-50.0, -30.0, -12.0])
def test_gain_brings_the_speech_to_the_level_told(level: float) -> None:
    placed = np.concatenate([np.zeros(RATE, np.float32), speech()])
    made = channels.louder(placed, level)
    assert power_db(made[RATE:]) == pytest.approx(level, abs=1.2)
    assert np.abs(made).max() <= 1.0


def test_silence_stays_silence_at_any_gain() -> None:
    assert not channels.louder(np.zeros(1_000, np.float32), -10.0).any()


@pytest.mark.parametrize("name", list(channels.CODECS))
def test_a_codec_leaves_the_word_in_its_place_and_takes_something_of_it(name: str) -> None:
    word = np.pad(speech(1.0), 8_000)
    made = channels.coded(word, name)
    assert len(made) == len(word)
    agreement = np.correlate(made, word[1_000:-1_000], mode="valid")
    assert abs(int(np.argmax(agreement)) - 1_000) <= 3
    # A mobile telephone keeps what is heard, not the wave.
    assert np.corrcoef(made, word)[0, 1] > (0.4 if name == "mobile" else 0.8)
    assert band_db(made, 300, 2_500) == pytest.approx(band_db(word, 300, 2_500), abs=3.0)
    assert not np.allclose(made, word, atol=1e-4)
    if channels.CODECS[name].sample_rate_hz == 8_000:
        assert band_db(made, 4_500, 7_900) < band_db(word, 4_500, 7_900) - 10


def test_codecs_take_any_length() -> None:
    for name in channels.CODECS:
        for count in (0, 1, 333, 5_000):
            assert len(channels.coded(speech(1.0)[:count], name)) == count


# --- Speed and pitch -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.85, 0.92, 1.08, 1.25])
def test_a_tape_that_runs_faster_is_shorter_and_higher_by_the_same(factor: float) -> None:
    made = taped(speech(1.0), factor)
    assert len(made) == pytest.approx(RATE / factor, abs=3)
    assert pitch_hz(made) == pytest.approx(140 * factor, rel=0.02)


# --- All together ----------------------------------------------------------------------------------------------------


def test_a_clean_clip_lies_in_digital_silence_and_ends_as_long_before_the_end_as_told() -> None:
    made = Augmenter(2.0).apply(sample(speech()), PLAIN)
    assert len(made.samples) == 32_000
    word_start, word_end = 32_000 - 3_200 - len(speech()), 32_000 - 3_200
    assert not made.samples[:word_start].any()
    assert not made.samples[word_end:].any()
    assert np.corrcoef(made.samples[word_start:word_end], speech())[0, 1] > 0.99
    assert (made.label, made.family, made.recording, made.text) == (1, "user", "take 1", "alexa")


@pytest.mark.parametrize("seconds", [0.1, 0.7, 1.95, 2.2, 3.5])
@pytest.mark.parametrize("source", ["positive", "near", "speech", "negative"])
def test_a_window_is_never_longer_nor_shorter_and_never_louder_than_full_scale(seconds: float, source: Source) -> None:
    augmenter = Augmenter(2.0, talk=[speech(3.0, 4)])
    draws = np.random.default_rng(1)
    for _ in DRAWS:
        made = augmenter.window(sample(speech(seconds), source), draws).samples
        assert (len(made), made.dtype) == (32_000, np.float32)
        assert np.isfinite(made).all()
        assert np.abs(made).max() <= 1.5  # a codec may overshoot what it was given
        assert made.any()


def test_a_word_too_long_for_the_window_keeps_its_end() -> None:
    long = speech(4.0)
    long[-RATE // 2 :] *= 3
    made = Augmenter(1.0).apply(sample(long), PLAIN).samples
    assert speech_end_seconds(made) > 0.95


def test_words_end_where_the_recipe_says_and_other_speech_lies_anywhere() -> None:
    augmenter = Augmenter(2.0, recipe=Recipe(clean_share=1.0, tail_seconds=(0.1, 0.3)))
    draws = np.random.default_rng(1)
    ends = [speech_end_seconds(augmenter.window(sample(speech()), draws).samples) for _ in range(60)]
    assert min(ends) > 1.65
    assert max(ends) < 1.95
    others = [speech_end_seconds(augmenter.window(sample(speech(), "negative"), draws).samples) for _ in range(60)]
    assert min(others) < 1.0
    assert max(others) > 1.8


def test_the_same_draw_makes_the_same_window_and_each_draw_another() -> None:
    def windows(seed: int) -> list[bytes]:
        augmenter, draws = Augmenter(2.0, talk=[speech(3.0, 4)], seed=5), np.random.default_rng(seed)
        return [augmenter.window(sample(speech()), draws).samples.tobytes() for _ in range(12)]

    assert windows(1) == windows(1)
    assert not set(windows(1)) & set(windows(2))
    assert len(set(windows(1))) == 12


@pytest.mark.parametrize(
    "change",
    [
        replace(PLAIN, tape=1.05),
        replace(PLAIN, pitch_semitones=1.0),
        replace(PLAIN, before_seconds=0.1),
        replace(PLAIN, after_seconds=0.05),
        replace(PLAIN, room=1),
        replace(PLAIN, gains_db=(6.0, -6.0) * 4),
        replace(PLAIN, band_hz=(400.0, 3000.0)),
        replace(PLAIN, noise="babble", noise_db=10.0),
        replace(PLAIN, noise="coloured", noise_db=10.0),
        replace(PLAIN, noise="given", noise_db=10.0),
        replace(PLAIN, codec="opus"),
        replace(PLAIN, level_db=-30.0),
        replace(PLAIN, tail_seconds=0.3),
    ],
)
def test_each_change_alone_changes_the_window(change: Change) -> None:
    augmenter = Augmenter(2.0, talk=[speech(3.0, 4)], noises=[noise.coloured(RATE, 1, np.random.default_rng(1))])
    made, plain = (augmenter.apply(sample(speech()), each).samples for each in (change, PLAIN))
    assert np.abs(made - plain).max() > 0.01


def test_the_noise_told_is_there_in_the_finished_window() -> None:
    augmenter = Augmenter(2.0)
    for ratio in (0.0, 10.0, 20.0):
        change = replace(PLAIN, noise="coloured", noise_db=ratio, noise_exponent=0.0)
        made = augmenter.apply(sample(speech()), change).samples
        word_end = 32_000 - 3_200
        word, silence = made[word_end - len(speech()) : word_end], made[: 32_000 - 3_200 - len(speech())]
        heard = 10 * np.log10(10 ** (power_db(word) / 10) - 10 ** (power_db(silence) / 10)) - power_db(silence)
        assert heard == pytest.approx(ratio, abs=1.0)


def test_changes_are_drawn_as_often_as_the_recipe_says() -> None:
    recipe = Recipe()
    augmenter, draws = Augmenter(2.0, talk=[speech()]), np.random.default_rng(1)
    drawn = [augmenter.draw(draws) for _ in range(3_000)]
    changed = 1 - recipe.clean_share
    shares = {
        "room": (recipe.room_share, sum(each.room is not None for each in drawn)),
        "noise": (recipe.noise_share, sum(each.noise is not None for each in drawn)),
        "codec": (recipe.codec_share, sum(each.codec is not None for each in drawn)),
        "before": (recipe.before_share, sum(each.before_seconds is not None for each in drawn)),
        "babble": (recipe.noise_share * recipe.babble_share, sum(each.noise == "babble" for each in drawn)),
    }
    for name, (wanted, count) in shares.items():
        assert count / 3_000 == pytest.approx(wanted * changed, abs=0.03), name
    assert set(Counter(each.codec for each in drawn)) == {None, *channels.CODECS}


def test_a_window_of_nothing_is_noise_or_digital_silence() -> None:
    augmenter, draws = Augmenter(2.0, talk=[speech(3.0, 4)]), np.random.default_rng(1)
    made = [augmenter.nothing(draws) for _ in range(60)]
    assert {(each.label, each.source, len(each.samples)) for each in made} == {(0, "noise", 32_000)}
    silent = sum(not each.samples.any() for each in made)
    assert 5 <= silent <= 40
    assert all(np.isfinite(each.samples).all() for each in made)
