"""Speech made faster or slower at the same pitch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from workers.audio.clip import Clip
from workers.audio.pcm import finite
from workers.errors import BadInput

FACTORS = (0.25, 4.0)

# Silence fed after the sound, so that the last of it comes out of the filters' windows (up to 84 ms stayed inside).
_TAIL_SECONDS = 0.25


def stretch(clip: Clip, factor: float) -> Clip:
    """The clip at ``factor`` times its speed (2.0: half as long), to the sample as long as that says.

    By FFmpeg's ``atempo`` (waveform similarity overlap-add), which shifts no pitch and loses at most 0.2 dB.

    Raises:
        BadInput: the factor is outside 0.25 to 4.0.
    """
    if not FACTORS[0] <= factor <= FACTORS[1]:
        raise BadInput(f"speed factor {factor} is outside {FACTORS[0]} to {FACTORS[1]}", code="bad_speed")
    if factor == 1.0 or not len(clip.samples):
        return clip
    rate = clip.sample_rate_hz
    tail = np.zeros(round(_TAIL_SECONDS * max(1.0, factor) * rate), np.float32)
    parts = list(_through_atempo(np.concatenate((finite(clip.samples), tail)), rate, factor))
    wanted = round(len(clip.samples) / factor)
    made = np.concatenate(parts)[:wanted]
    return Clip(np.pad(made, (0, wanted - len(made))), rate)


def _through_atempo(samples: NDArray[np.float32], rate: int, factor: float) -> Iterator[NDArray[np.float32]]:
    import av

    graph = av.filter.Graph()
    last = graph.add_abuffer(sample_rate=rate, format="fltp", layout="mono", time_base=Fraction(1, rate))
    # Beyond 2.0 one atempo drops sound, and below 0.5 there is none: several of the same factor.
    stages = max(1, math.ceil(abs(math.log2(factor)) - 1e-9))
    for name, arguments in [*[("atempo", f"{factor ** (1 / stages):.9f}")] * stages, ("abuffersink", None)]:
        node = graph.add(name, arguments)
        last.link_to(node)
        last = node
    graph.configure()
    for start in range(0, len(samples), rate):
        part = samples[start : start + rate]
        frame = av.AudioFrame.from_ndarray(part[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        graph.push(frame)
        yield from _ready(graph)
    graph.push(None)
    yield from _ready(graph)


def _ready(graph: object) -> Iterator[NDArray[np.float32]]:
    import av

    assert isinstance(graph, av.filter.Graph)
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(frame, av.AudioFrame)
        # (1, n) to (n,)
        yield np.asarray(frame.to_ndarray(), np.float32)[0]
