"""What the tests of listening share: spoken sound, a real detector of a word, and models in the store."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from models import wake_models
from models.db import Database
from models.files import FileStore
from models.wake_models import WakeModel
from workers.tts.hibari import HibariProvider
from workers.tts.provider import Utterance
from workers.wakeword import fewshot

RATE = 16_000
STORY = "When the long winter finally ended, the villagers opened their doors and swept the snow away."


@cache
def said(text: str, speed: float = 1.0, seed: int = 0) -> np.ndarray:
    """The packaged voice, 16 kHz, without silence around it."""
    (spoken,) = _voice().synthesize_batch([Utterance(text, "heart", speed, seed)])
    samples = soxr.resample(spoken.clip.samples, spoken.clip.sample_rate_hz, RATE)
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    return np.asarray(samples[loud[0] : loud[-1]], np.float32)


@cache
def _voice() -> HibariProvider:
    return HibariProvider(threads=1)


@cache
def detector_of_alexa() -> bytes:
    """The file of a detector: the word as the packaged voice says it, at three speeds."""
    recordings = [said("Alexa.", speed, seed) for seed, speed in enumerate((0.9, 1.0, 1.1))]
    return fewshot.of_recordings(recordings).saved()


def spoken(*words: tuple[float, str], seconds: float, rate: int = RATE) -> np.ndarray:
    """Quiet noise of so many seconds, in which texts are said from these seconds on; float32 at ``rate``."""
    samples = np.random.default_rng(0).normal(0, 1e-3, round(seconds * RATE)).astype(np.float32)
    for at, text in words:
        clip = said(text, 1.05, 7)
        start = round(at * RATE)
        samples[start : start + len(clip)] += clip[: max(0, len(samples) - start)]
    return samples if rate == RATE else np.asarray(soxr.resample(samples, RATE, rate), np.float32)


def pcm(samples: np.ndarray) -> bytes:
    """The samples as a microphone sends them: 16-bit, little endian."""
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def file_of(samples: np.ndarray, rate: int = RATE, form: str = "WAV", **options: Any) -> bytes:
    """The samples as an audio file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, **options)
    return file.getvalue()


def keep_model(
    database: Database, var_dir: Path, *, wake_word: str = "alexa", threshold: float = 0.5, detector: bytes = b""
) -> WakeModel:
    """A new version of a word, stored as its training would store it."""
    content = detector or detector_of_alexa()
    name = FileStore(var_dir / "files").put(content)
    report = {
        "wake_word": wake_word,
        "threshold": threshold,
        "metrics": {"accuracy": 0.97, "f1_score": 0.94, "precision": 0.95, "recall": 0.93},
        "operating_points": [],
        "training_config": {},
        "trainable_params": 0,
    }
    with database.transaction() as session:
        return wake_models.add(
            session,
            wake_word=wake_word,
            model_type="fewshot",
            threshold=threshold,
            report=report,
            files={"detector": {"file": name, "size_bytes": len(content)}},
        )
