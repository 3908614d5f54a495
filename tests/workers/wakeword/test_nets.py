"""The nets: every option does something to the sequence, and time matters."""

from __future__ import annotations

from itertools import combinations

import pytest

pytest.importorskip("torch")

import torch

from workers.wakeword import nets
from workers.wakeword.features import frontend
from workers.wakeword.nets import FRONTENDS, NetOptions, build, parameters, rebuilt

TYPES = ["embedding", "tcresnet", "bcresnet"]
SWITCHES = ["use_attention", "use_se_block", "use_tcn"]
CHOICES = [frozenset(chosen) for count in range(4) for chosen in combinations(SWITCHES, count)]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def made(model_type: str, **options: object) -> torch.nn.Module:
    """A net whose normalisations have seen something, so that numbers go through it."""
    torch.manual_seed(0)
    front = frontend(FRONTENDS[model_type])
    net = build(model_type, front, NetOptions(**options))
    for seed in range(20):
        net(windows(model_type, seed))
    return net.eval()


def windows(model_type: str, seed: int = 100) -> torch.Tensor:
    """Noise that is louder at first, so that order is there to be heard."""
    front = frontend(FRONTENDS[model_type])
    x = torch.randn(4, front.window_frames, front.width, generator=torch.Generator().manual_seed(seed))
    x[:, : front.window_frames // 2] *= 4
    return x


@pytest.mark.parametrize("model_type", TYPES)
def test_every_combination_of_options_is_another_net_and_hears_the_order(model_type: str) -> None:
    # With 64 bits, so that rounding alone leaves nothing of this size: a new net's answers lie close together.
    sizes, answers, x = set(), [], windows(model_type).double()
    shuffled = x[:, torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(2))]
    for chosen in CHOICES:
        net = made(model_type, **dict.fromkeys(chosen, True)).double()
        with torch.no_grad():
            logits = net(x)
            moved = (net(shuffled) - logits).abs().max()
        assert logits.shape == (4,)
        assert moved > 1e-8, chosen
        sizes.add(parameters(net))
        answers.append(logits)
    assert len(sizes) == len(CHOICES)
    assert all((one - other).abs().max() > 1e-8 for one, other in combinations(answers, 2))


@pytest.mark.parametrize("model_type", TYPES)
@pytest.mark.parametrize("chosen", CHOICES, ids=lambda chosen: "+".join(sorted(chosen)) or "none")
def test_every_weight_learns(model_type: str, chosen: frozenset[str]) -> None:
    net = made(model_type, **dict.fromkeys(chosen, True)).train()
    torch.nn.functional.softplus(net(windows(model_type))).sum().backward()
    without = [name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


def test_without_options_the_head_is_as_large_as_that_of_openwakeword() -> None:
    assert parameters(made("embedding")) == 1536 * 64 + 64 + 128 + 64 * 64 + 64 + 128 + 64 + 1


@pytest.mark.parametrize(("model_type", "least", "most"), [("tcresnet", 60_000, 70_000), ("bcresnet", 8_000, 10_000)])
def test_nets_from_scratch_are_as_small_as_their_papers_say(model_type: str, least: int, most: int) -> None:
    assert least < parameters(made(model_type)) < most
    assert parameters(made(model_type, scale=2.0)) > 2 * parameters(made(model_type))


def test_dropout_is_there_in_training_only() -> None:
    net, x = made("embedding", dropout=0.5), windows("embedding")
    assert torch.equal(net(x), net(x))
    net.train()
    assert not torch.equal(net(x), net(x))


def test_a_net_learns_when_a_sound_comes_and_not_only_whether() -> None:
    """Two classes with the same frames in another order: what a pooled vector could not tell apart."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(64, 16, 96, generator=generator)
    x[:, 3, :48] += 3
    x[:, 12, 48:] += 3
    y = torch.arange(64) % 2
    x[y == 1] = x[y == 1].flip(1)
    for chosen in CHOICES:
        torch.manual_seed(0)
        net = build("embedding", frontend("embedding"), NetOptions(dropout=0.0, **dict.fromkeys(chosen, True)))
        learner = torch.optim.Adam(net.parameters(), 3e-3)
        for _ in range(40):
            learner.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(net(x), y.float()).backward()
            learner.step()
        assert ((net(x) > 0) == (y == 1)).float().mean() > 0.95, chosen


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="'fewshot' has no net"):
        build("fewshot", frontend("embedding"), NetOptions())
    with pytest.raises(ValueError, match="tcresnet looks at mel frames, not at embedding"):
        build("tcresnet", frontend("embedding"), NetOptions())


def test_a_net_is_built_again_from_its_description() -> None:
    options = NetOptions(use_tcn=True, hidden=32)
    net = made("embedding", use_tcn=True, hidden=32)
    description = nets.described("embedding", frontend("embedding"), options)
    again = rebuilt(description, net.state_dict())
    assert torch.equal(again(windows("embedding")), net(windows("embedding")))
    with pytest.raises(ValueError, match="no checkpoint"):
        rebuilt(description, {})
    with pytest.raises(ValueError, match="no checkpoint"):
        rebuilt({**description, "options": {"use_magic": True}}, net.state_dict())
