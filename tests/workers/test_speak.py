"""From a text to a clip: pieces, rests, reports; with an engine whose sound is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from workers.audio.clip import Clip
from workers.errors import BadInput, Stopped
from workers.text.sentences import PARAGRAPH_PAUSE_SECONDS, SENTENCE_PAUSE_SECONDS
from workers.tts.provider import Capabilities, Spoken, Utterance
from workers.tts.speak import speak

RATE = 1000


class Letters:
    """Says each letter as 10 ms of its place in the alphabet, at 1 kHz; what is no letter it cannot say."""

    name = "letters"
    revision = "1"
    sample_rate_hz = RATE
    capabilities = Capabilities(
        batch=False, seed=True, streams_in_sentence=False, word_times=False, languages=("en",), licence="none"
    )

    def __init__(self) -> None:
        self.said: list[Utterance] = []

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Spoken]:
        return [Spoken(clip) for utterance in utterances for clip in self.stream(utterance)]

    def stream(self, utterance: Utterance) -> Iterator[Clip]:
        self.said.append(utterance)
        yield Clip(sound(utterance.text), RATE)


def sound(text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    places = [(ord(letter) - 96) / 26 for letter in text.lower() if "a" <= letter <= "z"]
    return np.repeat(np.array(places, np.float32), 10)


def rest(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.zeros(round(seconds * RATE), np.float32)


def unheard(progress: float, phase: str) -> None:
    """Nobody listens."""


def say(text: str, *, speed: float = 1.0, report: Callable[[float, str], None] = unheard) -> tuple[Clip, Letters]:
    engine = Letters()
    return speak(engine, text, voice="v", speed=speed, seed=7, report=report), engine


def test_one_sentence_is_the_engine_s_sound_without_a_rest() -> None:
    clip, _ = say("Hello.")
    assert clip.sample_rate_hz == RATE
    assert np.array_equal(clip.samples, sound("Hello"))


def test_rests_stand_between_sentences_and_paragraphs_and_not_at_the_end() -> None:
    clip, _ = say("One. Two.\n\nThree.")
    wanted = [sound("One"), rest(SENTENCE_PAUSE_SECONDS), sound("Two"), rest(PARAGRAPH_PAUSE_SECONDS), sound("Three")]
    assert np.array_equal(clip.samples, np.concatenate(wanted))


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_rests_follow_the_speed(speed: float) -> None:
    clip, engine = say("One. Two.", speed=speed)
    wanted = [sound("One"), rest(SENTENCE_PAUSE_SECONDS / speed), sound("Two")]
    assert np.array_equal(clip.samples, np.concatenate(wanted))
    assert {utterance.speed for utterance in engine.said} == {speed}


def test_the_engine_is_asked_piece_by_piece_with_voice_and_seed() -> None:
    _, engine = say("One. Two.")
    assert engine.said == [Utterance("One.", "v", 1.0, 7), Utterance("Two.", "v", 1.0, 7)]


def test_a_piece_the_engine_cannot_say_leaves_no_rest() -> None:
    clip, _ = say("One. 東京. Two.")
    wanted = [sound("One"), rest(SENTENCE_PAUSE_SECONDS), sound("Two")]
    assert np.array_equal(clip.samples, np.concatenate(wanted))


def test_the_share_done_is_reported_before_each_piece() -> None:
    heard: list[tuple[float, str]] = []
    engine = Letters()

    def report(progress: float, phase: str) -> None:
        heard.append((progress, phase))
        assert len(engine.said) == len(heard) - 1

    speak(engine, "One. Two. Three. Four.", voice="v", speed=1.0, report=report)
    assert heard == [(0.0, "speaking"), (0.25, "speaking"), (0.5, "speaking"), (0.75, "speaking")]


def test_a_report_may_stop_the_work_before_the_next_piece() -> None:
    engine = Letters()

    def stop_at_half(progress: float, phase: str) -> None:
        if progress >= 0.5:
            raise Stopped

    with pytest.raises(Stopped):
        speak(engine, "One. Two. Three. Four.", voice="v", speed=1.0, report=stop_at_half)
    assert [utterance.text for utterance in engine.said] == ["One.", "Two."]


@pytest.mark.parametrize("text", ["", "🙂", "…", "東京", "1."])
def test_a_text_without_a_word_the_voice_can_say_is_bad_input(text: str) -> None:
    with pytest.raises(BadInput, match="text has no word that voice v can say") as refusal:
        say(text)
    assert refusal.value.code == "nothing_to_say"
