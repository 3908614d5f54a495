"""A trained net as files: ``.onnx`` for anybody's runtime, ``.pt`` for going on with."""

from __future__ import annotations

import io
import logging
import pickle
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import compose
from torch import Tensor, nn

from workers.errors import BadInput
from workers.tts.onnx_session import open_session
from workers.wakeword import frontend_graph
from workers.wakeword.embedding_graph import IR_VERSION, OPSET
from workers.wakeword.features import Frontend
from workers.wakeword.nets import ModelType, NetOptions, Seen, described, rebuilt
from workers.wakeword.spectrum import Floats

# An exported net must score as the trained one does.
TOLERANCE = 1e-4


class _Scoring(nn.Module):
    """The net with a probability (batch, 1), as openWakeWord's runtimes read it, instead of a logit."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.net(x)).unsqueeze(1)


def head_graph(net: nn.Module, seen: Seen, *, batch: int | None = None) -> bytes:
    """The net as ONNX: ``frames`` (batch, window_frames, width) to ``score`` (batch, 1); any batch where None.

    With ``batch`` 1 and an embedding of 16 x 96 it is what openWakeWord and Home Assistant load.
    """
    # Two, since the exporter takes one for a constant.
    example = torch.zeros(batch or 2, seen.window_frames, seen.width)
    return _exported(_Scoring(net), example, "frames", any_batch=batch is None)


def whole_graph(net: nn.Module, samples: int) -> bytes:
    """A net over samples as ONNX: ``samples`` (1, n) at 16 kHz in -1..1 to ``score`` (1, 1)."""
    return _exported(net, torch.zeros(1, samples), "samples", any_batch=False)


def _exported(net: nn.Module, example: Tensor, name: str, *, any_batch: bool) -> bytes:
    shapes = ({0: torch.export.Dim("batch")},) if any_batch else None
    modes = [(module, module.training) for module in net.modules()]
    try:
        with warnings.catch_warnings():
            # The exporter's, about its own insides and about torchvision, which is not there.
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
            program = torch.onnx.export(
                net.eval(),
                (example,),
                input_names=[name],
                output_names=["score"],
                dynamic_shapes=shapes,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    finally:
        for module, training in modes:
            module.training = training
    assert program is not None
    return _bare(program.model_proto)


def _bare(model: Any) -> bytes:
    """The graph without what the exporter tells of our source: a third of a small file."""
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version, model.doc_string = "", "", ""
    del model.metadata_props[:]
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    model.graph.doc_string = ""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.input, *model.graph.output, *model.graph.initializer]:
        del value.metadata_props[:]
        value.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def self_contained(head: bytes, frontend: Frontend) -> bytes:
    """Frontend and net in one: ``samples`` (1, n) at 16 kHz in -1..1 to ``score`` (1, 1), with n about two seconds."""
    front = frontend_graph.build(frontend)
    net = compose.add_prefix(onnx.load_from_string(_with_batch_of_one(head)), "net/")
    merged = compose.merge_models(front, net, [(front.graph.output[0].name, "net/frames")])
    merged.graph.name = "wake_word"
    for node in merged.graph.node:
        for number, name in enumerate(node.output):
            if name == "net/score":
                node.output[number] = "score"
    merged.graph.output[0].name = "score"
    return _bare(merged)


def _with_batch_of_one(head: bytes) -> bytes:
    model = onnx.load_from_string(head)
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return bytes(model.SerializeToString())


def difference(net: nn.Module, head: bytes, windows: Floats) -> float:
    """The largest difference between the scores of the net and of its ONNX for these windows (n, frames, width)."""
    session = open_session(head, threads=1)
    name = session.get_inputs()[0].name
    training = net.training
    net.eval()
    with torch.no_grad():
        ours = torch.sigmoid(net(torch.from_numpy(windows))).numpy()
    net.train(training)
    batch = session.get_inputs()[0].shape[0]
    size = batch if isinstance(batch, int) else len(windows)
    theirs = [session.run(None, {name: windows[at : at + size]})[0][:, 0] for at in range(0, len(windows), size)]
    return float(np.abs(ours - np.concatenate(theirs)).max())


# What reading a file that somebody made up, or half of one, has been seen to raise.
_UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, OSError, ValueError, TypeError, LookupError, AttributeError),
    *(RuntimeError, AssertionError),
)


@dataclass(frozen=True)
class Checkpoint:
    """What a ``.pt`` holds: the net, how it was built, and what the one who saved it added."""

    net: nn.Module
    description: dict[str, Any]
    extra: dict[str, Any]


def saved(net: nn.Module, model_type: ModelType, seen: Seen, options: NetOptions, **extra: Any) -> bytes:
    """The ``.pt``: weights, what the net is built from, and plain values of yours."""
    content = {
        "weights": {name: weight.detach().cpu().clone() for name, weight in net.state_dict().items()},
        "net": described(model_type, seen, options),
        "extra": extra,
    }
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def opened(file: bytes) -> Checkpoint:
    """The net of a ``.pt``, ready to score. Nothing in the file is executed: it may come from anybody.

    Raises:
        BadInput: it is no checkpoint of ours.
    """
    # torch writes zips. What is none it would read as its older format, for which there is no reason to look.
    if file[:2] != b"PK":
        raise BadInput("this is no checkpoint of a wake word: torch did not write it", code="bad_checkpoint")
    try:
        content = torch.load(io.BytesIO(file), map_location="cpu", weights_only=True)
        net = rebuilt(content["net"], content["weights"])
        return Checkpoint(net, content["net"], content["extra"])
    except _UNREADABLE as fault:
        reason = str(fault).partition("\n")[0]
        raise BadInput(f"this is no checkpoint of a wake word: {reason}", code="bad_checkpoint") from fault
