"""A frozen Audio Spectrogram Transformer (Gong et al. 2021) from a folder on this machine, as a frontend.

Its patch tokens keep their place in time: the mean over the bands leaves a sequence of 19 vectors for two seconds, and
the same head works on it as on the speech embedding. Nothing is downloaded. Best on a GPU: the published net has 85 M
parameters, and every window is worked on anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

# transformers imports torchaudio, so this comes first.
from workers import plain_torchaudio  # noqa: F401  # isort: skip
from transformers import ASTModel

from workers.errors import BadInput
from workers.wakeword.spectrum import FFT, HOP, RATE_HZ, SEEN, Floats

SAMPLES = RATE_HZ * 2
# With the 15 ms before them, two seconds are 200 frames of 25 ms.
_FRAMES = SAMPLES // HOP
_BEFORE = SEEN - HOP
# Of AudioSet, which the published nets are normalised by; a folder's own come first.
_MEAN, _DEVIATION = -4.2677393, 4.5689974
# Windows at once: what 12 layers of 230 tokens hold for them is about a gigabyte.
_AT_ONCE = 32


class KaldiSpectrum(nn.Module):
    """Kaldi's log-mel filter bank without dither, as transformers' ``ASTFeatureExtractor`` has it.

    Taking out the mean, the pre-emphasis, the window and the transform are all linear, so they are one matrix.
    """

    def __init__(self, bands: int, mean: float, deviation: float) -> None:
        super().__init__()
        self.mean, self.deviation = mean, deviation
        centred = np.eye(SEEN) - 1 / SEEN
        emphasised = centred - 0.97 * np.vstack((centred[:1], centred[:-1]))
        windowed = np.hanning(SEEN)[:, None] * emphasised
        transform = np.fft.rfft(windowed, FFT, axis=0).T  # (400, 257)
        steps = np.concatenate((transform.real, transform.imag), axis=1)
        self.register_buffer("steps", torch.from_numpy(steps.astype(np.float32)), persistent=False)
        self.register_buffer("filters", torch.from_numpy(_kaldi_filters(bands)), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """(batch, samples) in -1..1 to (batch, frames, bands), normalised."""
        frames = samples.unfold(1, SEEN, HOP)  # (batch, frames, 400)
        real, imaginary = (frames @ self.steps).chunk(2, dim=2)  # each (batch, frames, 257)
        bands = (real**2 + imaginary**2) @ self.filters
        return (bands.clamp_min(torch.finfo(torch.float32).eps).log() - self.mean) / (self.deviation * 2)


def _kaldi_filters(bands: int) -> Floats:
    """Triangles on the mel scale from 20 Hz to 8 kHz, shape (257, bands)."""
    mels = _mels(np.arange(FFT // 2 + 1, dtype=np.float64) * (RATE_HZ / FFT))
    lowest, highest = _mels(np.array([20.0, RATE_HZ / 2]))
    edges = np.linspace(float(lowest), float(highest), bands + 2)
    rising = (mels[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mels[:, None]) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling))
    # Kaldi leaves out the highest bin.
    filters[-1] = 0
    return filters.astype(np.float32)


def _mels(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1127 * np.log1p(hertz / 700)


class SpectrogramTransformer(nn.Module):
    """Two seconds of sound (batch, 32000) to a sequence (batch, 19, hidden size). Frozen."""

    name = "ast"
    hop_seconds = 0.1

    def __init__(self, folder: Path) -> None:
        """Loads it from a folder as transformers saves one: ``config.json`` and ``model.safetensors``.

        Raises:
            BadInput: there is no such folder, or something else in it.
        """
        super().__init__()
        if not (folder / "config.json").is_file():
            raise BadInput(f"there is no spectrogram transformer in {folder}: no config.json", code="no_ast_weights")
        try:
            self.net = ASTModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, attn_implementation="sdpa"
            )
        except (OSError, ValueError, RuntimeError) as fault:
            raise BadInput(
                f"the spectrogram transformer in {folder} cannot be loaded: {fault}", code="no_ast_weights"
            ) from fault
        mean, deviation = _normalisation(folder)
        self.spectrum = KaldiSpectrum(self.net.config.num_mel_bins, mean, deviation)
        self.bands, self.window_frames = _shorten(self.net)
        self.width = int(self.net.config.hidden_size)
        self.requires_grad_(False).eval()

    def forward(self, samples: Tensor) -> Tensor:
        """(batch, 32000) to (batch, window_frames, width)."""
        frames = self.spectrum(nn.functional.pad(samples, (_BEFORE, 0)))  # (batch, 200, 128)
        tokens = self.net(frames).last_hidden_state[:, 2:]  # (batch, 12 * 19, hidden)
        return tokens.unflatten(1, (self.bands, self.window_frames)).mean(1)

    @torch.no_grad()
    def batch(self, clips: Sequence[Floats]) -> list[Floats]:
        """The frames of each clip, (19 n, width): 19 for each whole two seconds, which share nothing."""
        device = next(self.net.parameters()).device
        counts = [len(clip) // SAMPLES for clip in clips]
        whole = [clip[: count * SAMPLES].reshape(count, SAMPLES) for clip, count in zip(clips, counts, strict=True)]
        windows = torch.from_numpy(np.concatenate([np.zeros((0, SAMPLES), np.float32), *whole]))
        parts = [self(windows[at : at + _AT_ONCE].to(device)).cpu() for at in range(0, len(windows), _AT_ONCE)]
        frames = torch.cat([torch.zeros(0, self.window_frames, self.width), *parts])
        return [part.flatten(0, 1).numpy() for part in frames.split(counts)]

    def frames(self, samples: Floats) -> Floats:
        """As ``batch`` of one clip."""
        return self.batch([samples])[0]


class Whole(nn.Module):
    """Transformer and head in one: samples (1, 32000) to the probability (1, 1), for ``export.whole_graph``."""

    def __init__(self, transformer: SpectrogramTransformer, head: nn.Module) -> None:
        super().__init__()
        self.transformer, self.head = transformer, head

    def forward(self, samples: Tensor) -> Tensor:
        return torch.sigmoid(self.head(self.transformer(samples))).unsqueeze(1)


def _normalisation(folder: Path) -> tuple[float, float]:
    try:
        kept: dict[str, Any] = json.loads((folder / "preprocessor_config.json").read_text())
    except (OSError, ValueError):
        return _MEAN, _DEVIATION
    return float(kept.get("mean", _MEAN)), float(kept.get("std", _DEVIATION))


def _shorten(net: ASTModel) -> tuple[int, int]:
    """Makes the net one for 200 frames, and gives the patches over bands and over time.

    As its authors do for shorter sound: the middle of the learned places in time is kept.
    """
    embeddings = net.embeddings
    bands, times = embeddings.get_shape(net.config)
    if net.config.max_length < _FRAMES:
        raise BadInput(
            f"the spectrogram transformer is for {net.config.max_length} frames, which is under two seconds",
            code="no_ast_weights",
        )
    net.config.max_length = _FRAMES
    _, kept = embeddings.get_shape(net.config)
    places = embeddings.position_embeddings.data
    start = times // 2 - kept // 2
    grid = places[:, 2:].unflatten(1, (bands, times))[:, :, start : start + kept].flatten(1, 2)
    embeddings.position_embeddings = nn.Parameter(torch.cat((places[:, :2], grid), dim=1))
    return int(bands), int(kept)
