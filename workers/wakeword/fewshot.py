"""A detector without training: the recordings' own embeddings, compared with what is heard."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workers.errors import BadInput
from workers.wakeword.features import Frontend, frontend
from workers.wakeword.spectrum import CHUNK, RATE_HZ, Floats

# An embedding looks back 0.775 s, so those that end before a third of a second of a word hold mostly what was before
# it; and the word is still in view a little after its end.
_FIRST_SECONDS, _AFTER_SECONDS = 0.32, 0.16
# Where half-way lies when nothing else is known: one voice's words lie 0.03 to 0.1 apart, other speech 0.18 and more.
_MIDDLE = 0.12
# The score goes from 0.5 to 0.88 in this much of the middle distance.
_STEEPNESS = 0.1


@dataclass(frozen=True)
class Templates:
    """Recordings of a word as embeddings, each (frames, 96), and the distance that scores one half.

    The same interface as a net's: windows in, probabilities out.
    """

    templates: tuple[Floats, ...]
    middle: float

    # The window is the embedding's.
    window_frames = 16

    @property
    def frontend(self) -> Frontend:
        """What windows are made of."""
        return frontend("embedding")

    def distances(self, windows: Floats) -> Floats:
        """How far the nearest template is from each window (n, 16, 96): 0 the same, 1 nothing in common."""
        heard = _directions(windows)
        return np.min([_warped(_directions(template), heard) for template in self.templates], axis=0)

    def scores(self, windows: Floats) -> Floats:
        """Probabilities (n,): one half at ``middle``."""
        closer = (self.middle - self.distances(windows)) / (self.middle * _STEEPNESS)
        return (1 / (1 + np.exp(-2 * np.clip(closer, -20, 20)))).astype(np.float32)

    def saved(self) -> bytes:
        """As a file."""
        file = io.BytesIO()
        named = {f"template_{number}": template for number, template in enumerate(self.templates)}
        np.savez(file, allow_pickle=False, middle=np.float64(self.middle), **named)
        return file.getvalue()


def opened(file: bytes | Path) -> Templates:
    """The templates of a file that ``saved`` made.

    Raises:
        BadInput: it is another file.
    """
    try:
        with np.load(io.BytesIO(file) if isinstance(file, bytes) else file, allow_pickle=False) as kept:
            names = sorted(name for name in kept.files if name.startswith("template_"))
            templates = tuple(np.asarray(kept[name], np.float32) for name in names)
            middle = float(kept["middle"])
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as fault:
        raise BadInput(f"these are no templates of a wake word: {fault}", code="bad_model") from fault
    if not templates or any(template.ndim != 2 or template.shape[1] != 96 for template in templates):
        raise BadInput("these are no templates of a wake word: their shape is another", code="bad_model")
    return Templates(templates, middle)


def of_recordings(recordings: Sequence[Floats], others: Floats | None = None) -> Templates:
    """Templates of 1 to 5 recordings (trimmed, 16 kHz, at least 0.3 s), ready at once.

    ``others`` are windows (n, 16, 96) of anything but the word: with them half-way lies between the word and the
    nearest one in a hundred of them.

    Raises:
        BadInput: there are no recordings.
    """
    if not recordings:
        raise BadInput("a few-shot detector needs a recording", code="no_recordings")
    templates = tuple(_template(recording) for recording in recordings)
    alone = Templates(templates, _MIDDLE)
    own = [
        float(Templates(tuple(t for other, t in enumerate(templates) if other != number), _MIDDLE).distances(window)[0])
        for number, window in enumerate(_window(recording)[None] for recording in recordings)
        if len(templates) > 1
    ]
    if others is not None and len(others):
        far = float(np.quantile(alone.distances(others), 0.01))
        near = max(own) if own else min(_MIDDLE, far) / 2
        return Templates(templates, max(0.02, (near + far) / 2))
    return Templates(templates, max([_MIDDLE, *(distance * 1.25 for distance in own)]))


def _embedded(recording: Floats) -> Floats:
    stream, silent = frontend("embedding").after_silence(16)
    tail = np.zeros(round(_AFTER_SECONDS * RATE_HZ) + CHUNK, np.float32)
    return np.concatenate((silent, stream.feed(np.concatenate((recording, tail)))))


def _template(recording: Floats) -> Floats:
    frames = round((len(recording) / RATE_HZ + _AFTER_SECONDS - _FIRST_SECONDS) * RATE_HZ / CHUNK)
    # At least three (a quarter of a second), and what fits into the window with room to be spoken slower.
    return _embedded(recording)[-1 - min(max(3, frames), 12) : -1]


def _window(recording: Floats) -> Floats:
    return _embedded(recording)[-16:]


def _directions(embeddings: Floats) -> Floats:
    """Each embedding less their mean over its numbers, with length one: what is left is independent of loudness."""
    centred = embeddings - embeddings.mean(-1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=-1, keepdims=True), 1e-6)


def _warped(template: Floats, heard: Floats) -> Floats:
    """The least mean cosine distance of the template (frames, 96) to a stretch of each window (n, 16, 96).

    Dynamic time warping where every frame of the template is used once: what is heard may be up to twice as slow (a
    frame is passed over), or faster (one frame serves several).
    """
    costs = 1 - np.einsum("tw,nfw->tnf", template, heard)  # (frames of the template, n, 16)
    total = costs[0]
    blocked = np.full((heard.shape[0], 2), np.inf, total.dtype)
    for cost in costs[1:]:
        before = np.concatenate((blocked, total), axis=1)
        total = cost + np.minimum(np.minimum(before[:, 2:], before[:, 1:-1]), before[:, :-2])
    return (total.min(axis=1) / len(costs)).astype(np.float32)
