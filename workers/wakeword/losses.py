"""What training makes small, and the mixing of clips that keeps it honest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """Binary cross-entropy, or focal loss where ``focal_gamma`` is not None (Lin et al. 2017).

    ``label_smoothing`` moves targets that far towards one half: 0.1 makes 0 and 1 into 0.05 and 0.95. ``focal_alpha``
    is the weight of positives, 1 - alpha that of negatives; 0.5 weighs both alike.
    """

    label_smoothing: float = 0.0
    focal_alpha: float = 0.5
    focal_gamma: float | None = None

    def __call__(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """The mean over a batch of logits (batch,), targets 0..1 (batch,) and, if given, how much each clip counts."""
        smooth = targets * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        each = F.binary_cross_entropy_with_logits(logits, smooth, reduction="none")
        if self.focal_gamma is not None:
            # How far off the answer is: targets that are mixed are neither 0 nor 1.
            off = (torch.sigmoid(logits) - targets).abs()
            # Twice, so that alpha 0.5 and gamma 0 are plain cross-entropy, and learning rates keep their meaning.
            share = 2 * (targets * self.focal_alpha + (1 - targets) * (1 - self.focal_alpha))
            each = share * off**self.focal_gamma * each
        if weights is None:
            return each.mean()
        return (each * weights).sum() / weights.sum().clamp_min(1e-8)


def mixup(windows: Tensor, targets: Tensor, alpha: float, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Each window mixed with another of the batch, and its target as much (Zhang et al. 2018); 0 mixes nothing.

    The share of the other is drawn for each window from Beta(alpha, alpha) and is at most one half, so that a window
    stays nearer to its own target.
    """
    if alpha <= 0:
        return windows, targets
    drawn = random.beta(alpha, alpha, len(windows))
    share = torch.from_numpy(np.minimum(drawn, 1 - drawn)).to(windows)
    others = torch.from_numpy(random.permutation(len(windows))).to(windows.device)
    wide = share.reshape(-1, *[1] * (windows.dim() - 1))
    return windows * (1 - wide) + windows[others] * wide, targets * (1 - share) + targets[others] * share
