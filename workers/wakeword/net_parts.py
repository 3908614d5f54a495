"""What the nets are put together from. Everything works on a sequence (batch, channels, frames), time last."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SqueezeExcite(nn.Module):
    """Scales each channel by what the other channels say over the whole sequence (Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, max(4, channels // reduction)),
            nn.ReLU(),
            nn.Linear(max(4, channels // reduction), channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Any (batch, channels, ..., frames) to the same shape."""
        gates = self.gate(x.flatten(2).mean(2))  # (batch, channels)
        return x * gates.reshape(*gates.shape, *[1] * (x.dim() - 2))


class DilatedBlock(nn.Module):
    """Two convolutions over frames ``dilation`` apart, and the input added to what they give (Bai et al. 2018)."""

    def __init__(self, channels: int, dilation: int, use_se: bool) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm1d(channels),
            SqueezeExcite(channels) if use_se else nn.Identity(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames) to the same shape."""
        return torch.relu(x + self.inner(x))


def dilated_stack(channels: int, use_se: bool) -> nn.Sequential:
    """Blocks that together see 29 frames: more than the embedding's 16, and most of what the others leave of 2 s."""
    return nn.Sequential(*[DilatedBlock(channels, dilation, use_se) for dilation in (1, 2, 4)])


class AttentionPooling(nn.Module):
    """Each head decides which frames count, from what is in them and where they are, and sums those.

    Where: a learned vector for each frame. Without it the frames' order would make no difference.
    """

    def __init__(self, channels: int, frames: int, heads: int = 4) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(1, channels, frames) * 0.02)
        self.weights = nn.Conv1d(channels, heads, 1)
        self.values = nn.Conv1d(channels, channels, 1)
        self.heads = heads
        self.width = channels

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames) to (batch, channels)."""
        x = x + self.places
        weights = torch.softmax(self.weights(x), dim=2)  # (batch, heads, frames)
        values = self.values(x).unflatten(1, (self.heads, -1))  # (batch, heads, channels / heads, frames)
        return (values * weights.unsqueeze(2)).sum(3).flatten(1)


class Decision(nn.Module):
    """From one vector to the logit: one hidden layer."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, width) to (batch,)."""
        return self.layers(x).squeeze(1)
