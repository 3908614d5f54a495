"""How loud speech is, and speech made as loud as asked.

Source: ITU-R BS.1770-4 and EBU R 128; the filters at any rate as libebur128 has them (their analogue prototypes through
the bilinear transform).
"""

from __future__ import annotations

import math

import numpy as np
import soxr
from numpy.typing import NDArray

from workers.audio.clip import Clip
from workers.audio.pcm import finite

CEILING_DBFS = -1.0  # EBU R 128's most for the true peak: an encoder's overshoot stays below full scale

_HOP_SECONDS = 0.1  # blocks of 400 ms that overlap by three quarters
_HOPS_AT_ONCE = 50
# The filters' slowest pole is at 38 Hz: after a quarter of a second e^-60 of the past is left.
_MEMORY_SECONDS = 0.25
_ABSOLUTE_GATE_LUFS, _RELATIVE_GATE_LU = -70.0, -10.0

_OVERSAMPLING = 4
# The limiter looks 25 ms ahead and back: longer than three periods of a low voice, so that it follows syllables and not
# the voice's own swing, which would be heard as distortion.
_LOOK_AHEAD_BLOCKS = 25
_DRIVE_MAX_DB = 20.0
_CLOSE_ENOUGH_LU = 0.3
_WORTH_A_TRY_LU = 0.1
_TRIES = 10  # one to three are usual


def measure(clip: Clip) -> float | None:
    """Integrated loudness in LUFS; None for less than 0.4 s and where nothing is louder than -70 LUFS."""
    power = _block_power(finite(clip.samples), clip.sample_rate_hz)
    gated = power[_lufs(power) > _ABSOLUTE_GATE_LUFS]
    if not len(gated):
        return None
    relative = float(_lufs(gated.mean())) + _RELATIVE_GATE_LU
    return float(_lufs(gated[_lufs(gated) > relative].mean()))


def true_peak(clip: Clip) -> float:
    """The greatest absolute value of the sound between the samples as well (four times oversampled), 1.0 = 0 dBFS."""
    return float(_peaks(finite(clip.samples), clip.sample_rate_hz).max(initial=0.0))


def normalize(clip: Clip, lufs: float) -> Clip:
    """The clip at that loudness, within 1 LU, its true peak at most -1 dBFS (to 0.1 dB).

    Where plain gain would exceed that, a limiter holds back the peaks; a sound that cannot be so loud below the ceiling
    (a click, a loud sine) comes as near as 20 dB of limiting brings it. What has no loudness stays as it is.
    """
    measured = measure(clip)
    if measured is None:
        return clip
    samples = finite(clip.samples)
    peaks = _peaks(samples, clip.sample_rate_hz)
    wanted = drive = lufs - measured
    ceiling = _factor(CEILING_DBFS)
    if peaks.max(initial=0.0) * _factor(drive) <= ceiling:
        return Clip(samples * np.float32(_factor(drive)), clip.sample_rate_hz)
    best, best_missing = clip, math.inf
    for _ in range(_TRIES):
        louder = Clip(
            _limited(samples, peaks, _factor(drive), ceiling, _block(clip.sample_rate_hz)), clip.sample_rate_hz
        )
        missing = lufs - (measure(louder) or lufs)
        gained = best_missing - abs(missing)
        if gained > 0:
            best, best_missing = louder, abs(missing)
        if best_missing <= _CLOSE_ENOUGH_LU or gained < _WORTH_A_TRY_LU:
            break
        # More than is missing, because the limiter takes part of it away again; it may overshoot and come back.
        drive = min(drive + 1.5 * missing, wanted + _DRIVE_MAX_DB)
    return best


def _factor(decibels: float) -> float:
    return 10.0 ** (decibels / 20.0)


def _lufs(power: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    return -0.691 + 10.0 * np.log10(np.maximum(power, 1e-20))


def _block_power(samples: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """Mean square of the weighted sound in each block of 400 ms, a new one each 100 ms; only whole blocks."""
    hop = round(_HOP_SECONDS * rate)
    hops = len(samples) // hop
    if hops < 4:
        return np.zeros(0)
    memory = round(_MEMORY_SECONDS * rate)
    size = 1 << (memory + _HOPS_AT_ONCE * hop - 1).bit_length()
    weight = _weighting(rate, size)
    squares = np.zeros(hops)
    for first in range(0, hops, _HOPS_AT_ONCE):
        last = min(first + _HOPS_AT_ONCE, hops)
        before = min(memory, first * hop)
        # The filters run as a product of spectra; what wraps around falls on the part before, which is thrown away.
        part = np.zeros(size)
        part[memory - before : memory + (last - first) * hop] = samples[first * hop - before : last * hop]
        weighted = np.fft.irfft(np.fft.rfft(part) * weight, size)[memory : memory + (last - first) * hop]
        squares[first:last] = np.square(weighted).reshape(-1, hop).mean(axis=1)
    return np.convolve(squares, np.full(4, 0.25), mode="valid")


def _weighting(rate: int, size: int) -> NDArray[np.complex128]:
    """The response of the standard's two filters (K-weighting) at the frequencies of an FFT of ``size``."""
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)  # one sample's delay
    # The head: 4 dB more above 1.7 kHz.
    k, q = math.tan(math.pi * 1681.974450955533 / rate), 0.7071752369554196
    high = _factor(3.999843853973347)
    middle = high**0.4996667741545416
    shelf = (high + middle * k / q + k * k) + 2 * (k * k - high) * z + (high - middle * k / q + k * k) * z**2
    shelf /= (1 + k / q + k * k) + 2 * (k * k - 1) * z + (1 - k / q + k * k) * z**2
    # Less below 38 Hz.
    k, q = math.tan(math.pi * 38.13547087602444 / rate), 0.5003270373238773
    a0 = 1 + k / q + k * k
    low_cut = (1 - 2 * z + z**2) / (1 + 2 * (k * k - 1) / a0 * z + (1 - k / q + k * k) / a0 * z**2)
    response: NDArray[np.complex128] = shelf * low_cut
    return response


def _peaks(samples: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """The true peak in each block of ``_block(rate)`` samples, the last one filled up."""
    if not len(samples):
        return np.zeros(0)
    block = _block(rate)
    count = -(-len(samples) // block)
    peaks = np.zeros(count)
    finer = soxr.ResampleStream(rate, _OVERSAMPLING * rate, 1, dtype="float32", quality="MQ")
    # By the ten seconds: four times an hour of sound would be gigabytes.
    step = 10_000 * block
    rest = np.zeros(0, np.float32)
    done = 0
    for start in range(0, len(samples), step):
        part = finer.resample_chunk(samples[start : start + step], last=start + step >= len(samples))
        rest = np.concatenate((rest, np.abs(part)))
        whole = len(rest) // (block * _OVERSAMPLING)
        peaks[done : done + whole] = rest[: whole * block * _OVERSAMPLING].reshape(whole, -1).max(axis=1, initial=0.0)
        done, rest = done + whole, rest[whole * block * _OVERSAMPLING :]
    if done < count:
        peaks[done] = rest.max(initial=0.0)
    # The oversampled sound may miss a sample's own value by a little.
    padded = np.zeros(count * block, np.float32)
    padded[: len(samples)] = np.abs(samples)
    return np.maximum(peaks, padded.reshape(count, block).max(axis=1))


def _block(rate: int) -> int:
    return max(1, rate // 1000)


def _limited(
    samples: NDArray[np.float32], peaks: NDArray[np.float64], gain: float, ceiling: float, block: int
) -> NDArray[np.float32]:
    """The samples times ``gain``, held back smoothly around each peak that would pass the ceiling."""
    allowed = np.minimum(1.0, ceiling / np.maximum(peaks * gain, 1e-9))
    # The least of a neighbourhood, then a mean over one that is smaller by a block on each side (the gain between the
    # middles of two blocks is a line): never more than is allowed anywhere.
    ahead = _LOOK_AHEAD_BLOCKS
    padded = np.pad(allowed, 2 * ahead + 1, constant_values=1.0)
    least = np.lib.stride_tricks.sliding_window_view(padded, 2 * ahead + 3).min(axis=1)
    window = np.hanning(2 * ahead + 3)[1:-1]
    smooth = np.convolve(least, window / window.sum(), mode="valid")
    middles = (np.arange(len(peaks)) + 0.5) * block
    held_back = np.interp(np.arange(len(samples)) + 0.5, middles, smooth)
    return (samples * (gain * held_back)).astype(np.float32)
