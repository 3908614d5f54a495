"""Nets trained from nothing, on log-mel frames: TC-ResNet (Choi et al. 2019) and BC-ResNet (Kim et al. 2021)."""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn

from workers.wakeword.net_parts import AttentionPooling, SqueezeExcite, dilated_stack


class Options(Protocol):
    """What of ``NetOptions`` is looked at here."""

    @property
    def use_attention(self) -> bool: ...
    @property
    def use_se_block(self) -> bool: ...
    @property
    def use_tcn(self) -> bool: ...
    @property
    def dropout(self) -> float: ...
    @property
    def scale(self) -> float: ...


class _Ending(nn.Module):
    """From (batch, channels, frames) to the logit: dilated convolutions if wished, a pooling over time, one layer."""

    def __init__(self, channels: int, frames: int, options: Options) -> None:
        super().__init__()
        self.tcn = dilated_stack(channels, options.use_se_block) if options.use_tcn else nn.Identity()
        self.pooling = AttentionPooling(channels, frames) if options.use_attention else None
        self.dropout = nn.Dropout(options.dropout)
        self.decision = nn.Linear(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch,)."""
        x = self.tcn(x)
        x = x.mean(2) if self.pooling is None else self.pooling(x)  # (batch, channels)
        return self.decision(self.dropout(x)).squeeze(1)


class _TemporalBlock(nn.Module):
    """Two convolutions of 90 ms and more; the first halves time."""

    def __init__(self, before: int, after: int, use_se: bool) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv1d(before, after, 9, stride=2, padding=4, bias=False),
            nn.BatchNorm1d(after),
            nn.ReLU(),
            nn.Conv1d(after, after, 9, padding=4, bias=False),
            nn.BatchNorm1d(after),
            SqueezeExcite(after) if use_se else nn.Identity(),
        )
        self.around = nn.Sequential(nn.Conv1d(before, after, 1, stride=2, bias=False), nn.BatchNorm1d(after))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.inner(x) + self.around(x))


class TcResNet(nn.Module):
    """TC-ResNet8: bands are channels, and all convolutions go over time. 66 k parameters at scale 1."""

    def __init__(self, bands: int, frames: int, options: Options) -> None:
        super().__init__()
        widths = [max(8, round(width * options.scale / 8) * 8) for width in (16, 24, 32, 48)]
        self.start = nn.Sequential(
            nn.BatchNorm1d(bands), nn.Conv1d(bands, widths[0], 3, padding=1, bias=False), nn.BatchNorm1d(widths[0])
        )
        self.blocks = nn.Sequential(*[_TemporalBlock(*pair, options.use_se_block) for pair in pairwise(widths)])
        self.end = _Ending(widths[-1], _halved(frames, 3), options)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frames, bands) to logits (batch,)."""
        x = torch.relu(self.start(x.transpose(1, 2)))  # (batch, 16, frames)
        return self.end(self.blocks(x))  # (batch, 48, frames / 8) to the logit


class _SubBandNorm(nn.Module):
    """Batch normalisation of five parts of the bands apart (one where five do not fit)."""

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.parts = 5 if bands % 5 == 0 else 1
        self.norm = nn.BatchNorm2d(channels * self.parts)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, bands, frames) to the same shape."""
        batch, channels, bands, frames = x.shape
        parts = x.reshape(batch, channels * self.parts, bands // self.parts, frames)
        return self.norm(parts).reshape(batch, channels, bands, frames)


class _BroadcastBlock(nn.Module):
    """Works on bands and frames, then on frames alone (the mean over the bands), and adds that to every band."""

    def __init__(self, before: int, after: int, bands: int, halve: bool, dilation: int, options: Options) -> None:
        super().__init__()
        self.same = before == after and not halve
        stride = (2 if halve else 1, 1)
        self.enter = (
            nn.Identity()
            if before == after
            else nn.Sequential(nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
        )
        self.by_band = nn.Sequential(
            nn.Conv2d(after, after, (3, 1), stride=stride, padding=(1, 0), groups=after, bias=False),
            _SubBandNorm(after, bands),
        )
        self.by_frame = nn.Sequential(
            nn.Conv2d(after, after, (1, 3), padding=(0, dilation), dilation=(1, dilation), groups=after, bias=False),
            nn.BatchNorm2d(after),
            nn.SiLU(),
            nn.Conv2d(after, after, 1, bias=False),
            # As in the paper, whole channels are dropped; a fifth of the head's share, since every block does it.
            nn.Dropout2d(options.dropout / 5),
        )
        self.gates = SqueezeExcite(after) if options.use_se_block else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, before, bands before, frames) to (batch, after, bands, frames)."""
        by_band = self.by_band(self.enter(x))
        by_frame = self.by_frame(by_band.mean(2, keepdim=True))  # (batch, after, 1, frames)
        y = by_band + by_frame
        return torch.relu(self.gates(y + x if self.same else y))


class BcResNet(nn.Module):
    """BC-ResNet-1 at scale 1 (9 k parameters); scale 2, 3 … are the paper's tau.

    Unlike in the paper the first convolution halves time too: two frames 10 ms apart tell little more than one, and it
    halves the work.
    """

    def __init__(self, bands: int, frames: int, options: Options) -> None:
        super().__init__()
        first, *widths, last = [max(4, round(width * options.scale)) for width in (16, 8, 12, 16, 20, 32)]
        bands = _halved(bands, 1)
        layers: list[nn.Module] = [
            nn.BatchNorm2d(1),
            nn.Conv2d(1, first, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
        ]
        before = first
        for after, count, halve, dilation in zip(
            widths, (2, 2, 4, 4), (False, True, True, False), (1, 2, 4, 8), strict=True
        ):
            for number in range(count):
                halved = halve and number == 0
                bands = _halved(bands, 1) if halved else bands
                layers.append(_BroadcastBlock(before, after, bands, halved, dilation, options))
                before = after
        layers += [
            nn.Conv2d(before, before, (min(5, bands), 5), padding=(0, 2), groups=before, bias=False),
            nn.Conv2d(before, last, 1, bias=False),
            nn.BatchNorm2d(last),
            nn.ReLU(),
        ]
        self.layers = nn.Sequential(*layers)
        self.end = _Ending(last, _halved(frames, 1), options)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frames, bands) to logits (batch,)."""
        x = self.layers(x.transpose(1, 2).unsqueeze(1))  # (batch, 32, 1, frames / 2)
        return self.end(x.mean(2))


def _halved(size: int, times: int) -> int:
    """What is left of so many bands or frames after convolutions of odd width that halve them, rounded up."""
    for _ in range(times):
        size = -(-size // 2)
    return size
