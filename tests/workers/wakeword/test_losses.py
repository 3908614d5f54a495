"""Losses on numbers with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from workers.wakeword.losses import Loss, mixup

SURE, UNSURE = torch.tensor([4.0]), torch.tensor([0.0])
YES = torch.tensor([1.0])


def test_without_options_it_is_cross_entropy() -> None:
    assert Loss()(UNSURE, YES).item() == pytest.approx(math.log(2))
    assert Loss()(SURE, YES).item() == pytest.approx(math.log1p(math.exp(-4)))


def test_smoothing_asks_for_less_than_certainty() -> None:
    wanted = torch.logit(torch.tensor([0.95]))
    loss = Loss(label_smoothing=0.1)
    assert loss(wanted, YES) < loss(wanted + 1, YES)
    assert loss(wanted, YES) < loss(wanted - 1, YES)


def test_focal_loss_looks_away_from_what_is_known() -> None:
    plain, focal = Loss(), Loss(focal_gamma=2.0)
    assert (focal(SURE, YES) / plain(SURE, YES)).item() == pytest.approx(torch.sigmoid(-SURE).item() ** 2, rel=1e-4)
    assert (focal(UNSURE, YES) / plain(UNSURE, YES)).item() == pytest.approx(0.25)
    assert Loss(focal_gamma=0.0)(SURE, YES).item() == pytest.approx(plain(SURE, YES).item())


def test_alpha_weighs_positives_against_negatives() -> None:
    loss = Loss(focal_alpha=0.75, focal_gamma=0.0)
    assert (loss(UNSURE, YES) / loss(UNSURE, 1 - YES)).item() == pytest.approx(3)


def test_weights_say_how_much_a_clip_counts() -> None:
    logits, targets = torch.tensor([0.0, 9.0]), torch.tensor([1.0, 0.0])
    assert Loss()(logits, targets, torch.tensor([1.0, 0.0])).item() == pytest.approx(math.log(2))
    assert Loss()(logits, targets, torch.ones(2)).item() == pytest.approx(Loss()(logits, targets).item())


def test_mixup_mixes_windows_and_targets_alike() -> None:
    # Each window holds its own target everywhere, so after mixing they must still agree.
    targets = torch.tensor([0.0, 1.0] * 50)
    windows = targets[:, None, None].expand(100, 16, 96).clone()
    mixed, wanted = mixup(windows, targets, 0.5, np.random.default_rng(0))
    assert torch.allclose(mixed, wanted[:, None, None].expand_as(mixed), atol=1e-6)
    assert ((wanted - targets).abs() <= 0.5 + 1e-6).all()
    assert ((wanted - targets).abs() > 0.05).sum() > 10


def test_mixup_of_nothing_changes_nothing_and_a_seed_repeats_it() -> None:
    windows, targets = torch.randn(8, 4, 3), torch.rand(8)
    assert mixup(windows, targets, 0.0, np.random.default_rng(0))[0] is windows
    first, second = (mixup(windows, targets, 0.5, np.random.default_rng(5))[0] for _ in range(2))
    assert torch.equal(first, second)
