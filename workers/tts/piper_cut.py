"""Cuts a piper voice's ONNX graph; see ``piper_graphs``, which keeps the parts. The one place that needs ``onnx``.

The tensors are named as torch names them when it exports VITS (rhasspy/piper, ``export_onnx.py``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

# What the flow starts from, the mask of its frames, and what it gives the decoder.
_PRIOR, _MASK, _LATENT = "/Add_output_0", "/Cast_2_output_0", "/Mul_7_output_0"
# The durations before they are scaled and rounded up; means and logarithms of deviations for each phoneme.
_WIDTHS, _MEANS, _LOG_DEVIATIONS = "/Mul_output_0", "/enc_p/Split_output_0", "/enc_p/Split_output_1"
# None is any size. onnxruntime optimises convolutions only where it knows the number of channels.
_SHAPES: dict[str, list[int | None]] = {
    "ids": [None, None],
    "lengths": [None],
    "noise": [None, 2, None],
    "prior": [None, 192, None],
    "mask": [None, 1, None],
    "latent": [None, 192, None],
}


def write(model: Path, *, front: Path, flow: Path, decoder: Path) -> None:
    """Cuts the model and writes the parts.

    Raises:
        ValueError: the graph is not that of a piper voice.
    """
    whole = onnx.load(os.fspath(model))
    inside = {name for node in whole.graph.node for name in node.output}
    if missing := {_PRIOR, _MASK, _LATENT, _WIDTHS, _MEANS, _LOG_DEVIATIONS} - inside:
        raise ValueError(f"{model} is no piper voice: it has no {', '.join(sorted(missing))}")
    read = {"input": "ids", "input_lengths": "lengths", _duration_noise(whole): "noise"}
    _save(whole, front, read, {_WIDTHS: "widths", _MEANS: "means", _LOG_DEVIATIONS: "log_deviations"})
    _save(whole, flow, {_PRIOR: "prior", _MASK: "mask"}, {_LATENT: "latent"})
    _save(whole, decoder, {_LATENT: "latent"}, {whole.graph.output[0].name: "sound"})


def _duration_noise(whole: Any) -> str:
    """The noise of the durations, already scaled: the product of the one draw in ``/dp`` with its scale."""
    (drawn,) = (n.output[0] for n in whole.graph.node if n.op_type == "RandomNormalLike" and n.name.startswith("/dp/"))
    (scaled,) = (n.output[0] for n in whole.graph.node if drawn in n.input)
    return str(scaled)


def _save(whole: Any, path: Path, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Writes the part of the graph between these tensors, each of which is given a new name."""
    maker = {name: number for number, node in enumerate(whole.graph.node) for name in node.output}
    weights = {weight.name: weight for weight in whole.graph.initializer}
    wanted, seen, numbers = list(outputs), set(inputs), set[int]()
    while wanted:
        name = wanted.pop()
        if name in seen or not name:
            continue
        seen.add(name)
        if name in maker:
            numbers.add(maker[name])
            wanted += whole.graph.node[maker[name]].input
        elif name not in weights:
            raise ValueError(f"the cut for {path.name} leaves {name} open")
    names = {**inputs, **outputs}
    nodes = []
    for number in sorted(numbers):
        node = onnx.NodeProto()
        node.CopyFrom(whole.graph.node[number])
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        nodes.append(node)
    types = {known.name: known.type.tensor_type.elem_type for known in whole.graph.input}
    graph = onnx.helper.make_graph(
        nodes,
        path.stem,
        [
            onnx.helper.make_tensor_value_info(new, types.get(old, onnx.TensorProto.FLOAT), _SHAPES[new])
            for old, new in inputs.items()
        ],
        [onnx.helper.make_tensor_value_info(new, onnx.TensorProto.FLOAT, None) for new in outputs.values()],
        [weight for name, weight in weights.items() if name in seen],
    )
    part = onnx.helper.make_model(graph, opset_imports=whole.opset_import, ir_version=whole.ir_version)
    onnx.save(part, os.fspath(path))
