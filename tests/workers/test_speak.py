"""From a text to a clip: pieces, rests, reports; with an engine whose sound is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from workers.audio.clip import Clip
from workers.errors import BadInput, Stopped
from workers.text.sentences import PARAGRAPH_PAUSE_SECONDS, SENTENCE_PAUSE_SECONDS
from workers.tts.edges import KEPT_SECONDS
from workers.tts.provider import Capabilities, Spoken, Utterance, Word
from workers.tts.speak import Speech, speak

RATE = 1000


class Letters:
    """Says each letter as 10 ms of its place in the alphabet, at 1 kHz; what is no letter it cannot say."""

    name = "letters"
    revision = "1"
    sample_rate_hz = RATE
    capabilities = Capabilities(
        batch=False,
        seed=True,
        streams_in_sentence=False,
        word_times=False,
        languages=("en",),
        licence="none",
        speeds=(0.25, 4.0),
    )

    def __init__(self) -> None:
        self.said: list[Utterance] = []

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Spoken]:
        return [part for utterance in utterances for part in self.stream(utterance)]

    def stream(self, utterance: Utterance) -> Iterator[Spoken]:
        self.said.append(utterance)
        yield Spoken(Clip(sound(utterance.text), RATE))


def sound(text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    places = [(ord(letter) - 96) / 26 for letter in text.lower() if "a" <= letter <= "z"]
    return np.repeat(np.array(places, np.float32), 10)


def said(text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """The sound as it stands in a clip: the engine's letters end loud, so both ends are faded over 5 ms."""
    samples = sound(text)
    ramp = np.arange(5, dtype=np.float32) / 5
    samples[:5] *= ramp
    samples[-5:] *= ramp[::-1]
    return samples


def rest(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.zeros(round(seconds * RATE), np.float32)


def unheard(progress: float, phase: str) -> None:
    """Nobody listens."""


def say(text: str, *, speed: float = 1.0, report: Callable[[float, str], None] = unheard) -> tuple[Clip, Letters]:
    engine = Letters()
    return speak(engine, text, voice="v", speed=speed, seed=7, report=report).clip, engine


def test_one_sentence_is_the_engine_s_sound_without_a_rest() -> None:
    clip, _ = say("Hello.")
    assert clip.sample_rate_hz == RATE
    assert np.allclose(clip.samples, said("Hello"))


def test_rests_stand_between_sentences_and_paragraphs_and_not_at_the_end() -> None:
    clip, _ = say("One. Two.\n\nThree.")
    wanted = [said("One"), rest(SENTENCE_PAUSE_SECONDS), said("Two"), rest(PARAGRAPH_PAUSE_SECONDS), said("Three")]
    assert np.allclose(clip.samples, np.concatenate(wanted))


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_rests_follow_the_speed(speed: float) -> None:
    clip, engine = say("One. Two.", speed=speed)
    wanted = [said("One"), rest(SENTENCE_PAUSE_SECONDS / speed), said("Two")]
    assert np.allclose(clip.samples, np.concatenate(wanted))
    assert {utterance.speed for utterance in engine.said} == {speed}


def test_the_engine_is_asked_piece_by_piece_with_voice_and_seed() -> None:
    _, engine = say("One. Two.")
    assert engine.said == [Utterance("One.", "v", 1.0, 7), Utterance("Two.", "v", 1.0, 7)]


def test_a_piece_the_engine_cannot_say_leaves_no_rest() -> None:
    clip, _ = say("One. 東京. Two.")
    wanted = [said("One"), rest(SENTENCE_PAUSE_SECONDS), said("Two")]
    assert np.allclose(clip.samples, np.concatenate(wanted))


def test_the_share_done_is_reported_before_each_piece_and_after_each_part() -> None:
    heard: list[tuple[float, str]] = []
    engine = Letters()

    def report(progress: float, phase: str) -> None:
        heard.append((progress, phase))
        assert len(engine.said) == len(heard) // 2

    speak(engine, "One. Two. Three. Four.", voice="v", speed=1.0, report=report)
    assert heard == [(share, "speaking") for share in (0.0, 0.0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75)]


def test_a_report_may_stop_the_work_before_the_next_piece() -> None:
    engine = Letters()

    def stop_at_half(progress: float, phase: str) -> None:
        if progress >= 0.5:
            raise Stopped

    with pytest.raises(Stopped):
        speak(engine, "One. Two. Three. Four.", voice="v", speed=1.0, report=stop_at_half)
    assert [utterance.text for utterance in engine.said] == ["One.", "Two."]


@pytest.mark.parametrize("text", ["", "…", "東京"])
def test_a_text_without_a_word_the_voice_can_say_is_bad_input(text: str) -> None:
    with pytest.raises(BadInput, match="text has no word that voice v can say") as refusal:
        say(text)
    assert refusal.value.code == "nothing_to_say"


# --- Heard while it is made ------------------------------------------------------------------------------------------


class InParts(Letters):
    """Gives each letter as a part, with 100 ms of silence before the first and after the last."""

    capabilities = dataclasses.replace(Letters.capabilities, streams_in_sentence=True, word_times=True)

    def stream(self, utterance: Utterance) -> Iterator[Spoken]:
        yield Spoken(Clip(rest(0.1), RATE))
        for letter in filter(str.isalpha, utterance.text):
            yield Spoken(Clip(sound(letter), RATE), (Word(letter, 0.0, 0.01),))
        yield Spoken(Clip(rest(0.1), RATE))


def listen(text: str, *, speed: float = 1.0) -> tuple[Speech, list[Clip]]:
    parts: list[Clip] = []
    return speak(InParts(), text, voice="v", speed=speed, report=unheard, heard=parts.append), parts


def test_what_is_heard_in_parts_is_the_clip() -> None:
    speech, parts = listen("One. Two.")
    assert len(parts) > 6
    assert np.array_equal(np.concatenate([part.samples for part in parts]), speech.clip.samples)


def test_silence_that_the_engine_leaves_at_the_ends_is_cut() -> None:
    speech, _ = listen("Abc.")
    quiet = len(speech.clip.samples) - len(sound("abc"))
    assert 0 <= quiet <= 2 * KEPT_SECONDS * RATE


def test_words_and_passages_are_timed_where_they_are_heard() -> None:
    speech, _ = listen("Ab. Cd.")
    assert [passage.text for passage in speech.passages] == ["Ab.", "Cd."]
    words = [word for passage in speech.passages for word in passage.words]
    assert [word.text for word in words] == ["A", "b", "C", "d"]
    for word in words:
        first = round(word.start_seconds * RATE)
        # In the middle, where no fade is.
        assert speech.clip.samples[first + 5] == pytest.approx(sound(word.text)[5])
    assert speech.passages[1].start_seconds - speech.passages[0].end_seconds == pytest.approx(SENTENCE_PAUSE_SECONDS)
    assert speech.passages[1].end_seconds == pytest.approx(speech.clip.duration_seconds)


def test_a_speed_beyond_the_engine_s_is_reached_by_stretching() -> None:
    engine = Letters()
    engine.capabilities = dataclasses.replace(Letters.capabilities, speeds=(0.5, 2.0))
    text = "A sentence of some length, which is said at four times the speed."
    speech = speak(engine, text, voice="v", speed=4.0, report=unheard)
    (asked,) = engine.said
    assert asked.speed == 2.0
    assert speech.clip.duration_seconds == pytest.approx(len(sound(text)) / RATE / 2, rel=0.02)
