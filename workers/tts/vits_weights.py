"""The weights of a piper voice's ONNX file under the names that transformers' ``VitsModel`` gives them.

The export keeps the names of the training code (rhasspy/piper, ``piper_train/vits``), but for three kinds of tensors,
which are found by the node that reads them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

_LAYER = r"enc_p\.encoder"
_RENAMED: list[tuple[str, str]] = [
    (rf"{_LAYER}\.attn_layers\.(\d+)\.conv_([qkv])\.", r"text_encoder.encoder.layers.\1.attention.\2_proj."),
    (rf"{_LAYER}\.attn_layers\.(\d+)\.conv_o\.", r"text_encoder.encoder.layers.\1.attention.out_proj."),
    (rf"{_LAYER}\.attn_layers\.(\d+)\.emb_", r"text_encoder.encoder.layers.\1.attention.emb_"),
    (rf"{_LAYER}\.norm_layers_1\.(\d+)\.", r"text_encoder.encoder.layers.\1.layer_norm."),
    (rf"{_LAYER}\.norm_layers_2\.(\d+)\.", r"text_encoder.encoder.layers.\1.final_layer_norm."),
    (rf"{_LAYER}\.ffn_layers\.(\d+)\.", r"text_encoder.encoder.layers.\1.feed_forward."),
    (r"enc_p\.proj\.", "text_encoder.project."),
    (r"dec\.ups\.", "decoder.upsampler."),
    (r"dec\.", "decoder."),
    (r"dp\.flows\.0\.m$", "duration_predictor.flows.0.translate"),
    (r"dp\.", "duration_predictor."),
    (r"flow\.flows\.(\d+)\.enc\.", r"flow.flows.\1.wavenet."),
]
# In whatever module they are.
_PARTS: list[tuple[str, str]] = [
    (r"\.pre\.", ".conv_pre."),
    (r"\.post\.", ".conv_post."),
    (r"(duration_predictor.*)\.proj\.", r"\1.conv_proj."),
    (r"\.convs\.(convs_|norms_)", r".conv_dds.\1"),
    (r"\.convs_sep\.", ".convs_dilated."),
    (r"\.convs_1x1\.", ".convs_pointwise."),
    (r"\.gamma$", ".weight"),
    (r"\.beta$", ".bias"),
]
_EMBEDDING, _LOG_SCALE = "/enc_p/emb/Gather", "/dp/flows.0/Exp_output_0"


def weights(model: Path) -> dict[str, NDArray[np.float32]]:
    """Every weight the network needs to speak, by name."""
    graph = onnx.load(os.fspath(model)).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    named = {name: tensor for name, tensor in tensors.items() if name.startswith(("enc_p.", "dec.", "dp.", "flow."))}
    for node in graph.node:
        # Weight norm was folded into these, and their names were lost: the node's path has them.
        if node.op_type == "Conv" and node.input[1].startswith("onnx::"):
            named[node.name.strip("/").replace("/", ".").removesuffix("Conv") + "weight"] = tensors[node.input[1]]
        if node.name == _EMBEDDING:
            named["text_encoder.embed_tokens.weight"] = tensors[node.input[0]]
    found = {_name(name): _array(tensor) for name, tensor in named.items()}
    # The export holds exp(-log_scale).
    found["duration_predictor.flows.0.log_scale"] = -np.log(_array(tensors[_LOG_SCALE]))
    # Convolutions over one place there, linear layers here.
    return {
        name: array[..., 0] if re.search(r"attention\..*proj\.weight", name) else array for name, array in found.items()
    }


def _array(tensor: Any) -> NDArray[np.float32]:
    array: NDArray[np.float32] = onnx.numpy_helper.to_array(tensor)
    return array


def _name(name: str) -> str:
    for pattern, put in _RENAMED:
        name, changed = re.subn(f"^{pattern}", put, name)
        if changed:
            break
    for pattern, put in _PARTS:
        name = re.sub(pattern, put, name)
    # Flips are layers of their own there.
    name = re.sub(r"^flow\.flows\.(\d+)", lambda found: f"flow.flows.{int(found[1]) // 2}", name)
    return re.sub(
        r"^duration_predictor\.flows\.([3579])",
        lambda found: f"duration_predictor.flows.{(int(found[1]) + 1) // 2}",
        name,
    )
