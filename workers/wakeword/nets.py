"""The nets: one way to build each, whatever it looks at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor, nn

from workers.wakeword.net_parts import AttentionPooling, Decision, SqueezeExcite, dilated_stack
from workers.wakeword.scratch_nets import BcResNet, TcResNet

ModelType = Literal["embedding", "ast", "tcresnet", "bcresnet"]
# Which frontend each looks at; "ast" has one of its own (``spectrogram_transformer``).
FRONTENDS: dict[ModelType, str] = {"embedding": "embedding", "ast": "ast", "tcresnet": "mel", "bcresnet": "mel"}


@dataclass(frozen=True)
class NetOptions:
    """What can be chosen about a net.

    ``hidden`` is the width of the head; ``scale`` makes a net from scratch wider (TC-ResNet's k, BC-ResNet's tau).
    """

    use_attention: bool = False
    use_se_block: bool = False
    use_tcn: bool = False
    dropout: float = 0.5
    hidden: int = 64
    scale: float = 1.0


class Seen(Protocol):
    """What a net must know about its frontend."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def width(self) -> int:
        """Numbers in a frame."""

    @property
    def window_frames(self) -> int:
        """Frames that the net looks at."""


class Head(nn.Module):
    """The small net over a frozen one's frames.

    Without any option it is openWakeWord's: all frames side by side, two layers (103 k parameters over 16 x 96).
    ``use_tcn`` puts convolutions over time before it, ``use_se_block`` gates their channels (alone: one convolution and
    its gates), and ``use_attention`` pools the frames by weights instead of putting them side by side.
    """

    def __init__(self, width: int, frames: int, options: NetOptions) -> None:
        super().__init__()
        channels = options.hidden
        layers: list[nn.Module] = []
        if options.use_tcn or options.use_se_block:
            layers += [nn.Conv1d(width, channels, 3, padding=1, bias=False), nn.BatchNorm1d(channels), nn.ReLU()]
            layers += [SqueezeExcite(channels)] if options.use_se_block else []
            layers += [dilated_stack(channels, options.use_se_block)] if options.use_tcn else []
        elif options.use_attention:
            layers += [nn.Conv1d(width, channels, 1, bias=False), nn.BatchNorm1d(channels), nn.ReLU()]
        else:
            channels = width
        self.sequence = nn.Sequential(*layers)
        if options.use_attention:
            self.pooling: nn.Module = AttentionPooling(channels, frames)
            pooled = channels
        else:
            self.pooling = nn.Flatten()
            pooled = channels * frames
        self.decision = Decision(pooled, options.hidden, options.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frames, width) to logits (batch,)."""
        x = self.sequence(x.transpose(1, 2))  # (batch, channels, frames)
        return self.decision(self.pooling(x))


def build(model_type: ModelType, frontend: Seen, options: NetOptions) -> nn.Module:
    """The net: (batch, window_frames, width) to logits (batch,).

    Raises:
        ValueError: there is no such type, or it does not look at this frontend.
    """
    if model_type not in get_args(ModelType):
        raise ValueError(f"model type {model_type!r} has no net: {', '.join(get_args(ModelType))} have")
    if FRONTENDS[model_type] != frontend.name:
        raise ValueError(f"model type {model_type} looks at {FRONTENDS[model_type]} frames, not at {frontend.name}")
    if model_type == "tcresnet":
        return TcResNet(frontend.width, frontend.window_frames, options)
    if model_type == "bcresnet":
        return BcResNet(frontend.width, frontend.window_frames, options)
    return Head(frontend.width, frontend.window_frames, options)


def parameters(net: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)


def described(model_type: ModelType, frontend: Seen, options: NetOptions) -> dict[str, Any]:
    """What a checkpoint keeps beside the weights, so that the net can be built again: plain values only."""
    return {
        "model_type": model_type,
        "frontend": {"name": frontend.name, "width": frontend.width, "window_frames": frontend.window_frames},
        "options": asdict(options),
    }


@dataclass(frozen=True)
class _Kept:
    name: str
    width: int
    window_frames: int


def rebuilt(description: dict[str, Any], weights: dict[str, Tensor]) -> nn.Module:
    """The net of a checkpoint, ready to score.

    Raises:
        ValueError: the description is not one of ours, or the weights are another net's.
    """
    try:
        net = build(description["model_type"], _Kept(**description["frontend"]), NetOptions(**description["options"]))
        net.load_state_dict(weights)
    except (KeyError, TypeError, RuntimeError) as fault:
        raise ValueError(f"this is no checkpoint of a wake word: {fault}") from fault
    return net.eval()


@torch.no_grad()
def scores(net: nn.Module, windows: Tensor) -> Tensor:
    """Probabilities (batch,) of windows (batch, window_frames, width), as a detector gives them."""
    return torch.sigmoid(net.eval()(windows))
