"""A frontend as ONNX: from the samples of one window to its frames, for files that need nothing beside them."""

from __future__ import annotations

from typing import Any

import numpy as np

from workers.wakeword import embedding_graph
from workers.wakeword.embedding_graph import IR_VERSION, OPSET
from workers.wakeword.features import Frontend
from workers.wakeword.spectrum import CHUNK, CHUNK_FRAMES, FFT, FOR_EMBEDDING, FOR_SCRATCH, HOP, SEEN, Spectrum, window

_SPECTRA = {"embedding": FOR_EMBEDDING, "mel": FOR_SCRATCH}
# Windows of embeddings start four frames into a chunk (76 frames are nine and a half).
_SKIPPED = {"embedding": 4, "mel": 0}


def window_samples(frontend: Frontend) -> int:
    """How many samples a window's frames see: two seconds and a little."""
    chunks = (frontend.window_frames + frontend.warm_up) // frontend.chunk_frames
    return frontend.history + chunks * CHUNK


def build(frontend: Frontend) -> Any:
    """``samples`` (1, ``window_samples``) in -1..1 to ``frames`` (1, window_frames, width), an ``onnx.ModelProto``.

    Raises:
        ValueError: the frontend is not one of ``features``.
    """
    from onnx import compose

    if frontend.name not in _SPECTRA:
        raise ValueError(f"frontend {frontend.name!r} has no graph of its own")
    chunks = (window_samples(frontend) - frontend.history) // CHUNK
    graph = _spectrum(_SPECTRA[frontend.name], chunks, _SKIPPED[frontend.name])
    if frontend.name == "mel":
        return graph
    # Without a state: all windows are there at once.
    embedding = compose.add_prefix(embedding_graph.build(streaming=False), "embedding/")
    return compose.merge_models(graph, embedding, [("frames", "embedding/frames")])


def _spectrum(spectrum: Spectrum, chunks: int, skipped: int) -> Any:
    """``Spectrum.frames`` of one stream, step by step."""
    from onnx import TensorProto, helper, numpy_helper

    length = spectrum.history + chunks * CHUNK
    frames = chunks * CHUNK_FRAMES
    constants = {
        "full_scale": np.float32(32768),
        "lowest": np.float32(-32768),
        "highest": np.float32(32767),
        "padding": np.array([0, 0, 0, FFT - SEEN]),
        "hop": np.int64(HOP),
        "fft": np.int64(FFT),
        # The transform is as long as the window.
        "window": np.pad(window(), (0, FFT - SEEN)),
        "sample_axis": np.array([2]),
        "part_axis": np.array([3]),
        "first": np.array([0]),
        "after": np.array([frames]),
        "frame_axis": np.array([1]),
        "filters": spectrum.filters,
        "added": np.float32(spectrum.added),
        "least": np.float32(1e-10),
        "to_decibels": np.float32(10 / np.log(10)),
        "scale": np.float32(spectrum.scale),
        "offset": np.float32(spectrum.offset),
        "depth": np.float32(spectrum.depth or 0),
        "by_chunk": np.array([1, chunks, CHUNK_FRAMES * spectrum.bands]),
        "by_frame": np.array([1, frames, spectrum.bands]),
        "skipped": np.array([skipped]),
        "chunk_axis": np.array([2]),
    }
    node = helper.make_node
    nodes = [
        # As 16-bit sound.
        node("Mul", ["samples", "full_scale"], ["scaled"]),
        node("Round", ["scaled"], ["rounded"]),
        node("Clip", ["rounded", "lowest", "highest"], ["pcm"]),
        # Power of each band.
        node("Pad", ["pcm", "padding"], ["padded_row"]),
        node("Unsqueeze", ["padded_row", "sample_axis"], ["padded"]),
        node("STFT", ["padded", "hop", "window", "fft"], ["parts_all"], onesided=1),
        node("Slice", ["parts_all", "first", "after", "frame_axis"], ["parts"]),
        node("ReduceSumSquare", ["parts", "part_axis"], ["power"], keepdims=0),
        node("MatMul", ["power", "filters"], ["bands"]),
        node("Add", ["bands", "added"], ["more"]),
        node("Max", ["more", "least"], ["at_least"]),
        node("Log", ["at_least"], ["logarithm"]),
        node("Mul", ["logarithm", "to_decibels"], ["decibels"]),
    ]
    last = "decibels"
    if spectrum.depth is not None:
        nodes += [
            node("Reshape", ["decibels", "by_chunk"], ["chunked"]),
            node("ReduceMax", ["chunked", "chunk_axis"], ["loudest"], keepdims=1),
            node("Sub", ["loudest", "depth"], ["floor"]),
            node("Max", ["chunked", "floor"], ["floored_chunks"]),
            node("Reshape", ["floored_chunks", "by_frame"], ["floored"]),
        ]
        last = "floored"
    nodes += [
        node("Mul", [last, "scale"], ["smaller"]),
        node("Add", ["smaller", "offset"], ["all_frames"]),
        node("Slice", ["all_frames", "skipped", "after", "frame_axis"], ["frames"]),
    ]
    used = {name for each in nodes for name in each.input}
    graph = helper.make_graph(
        nodes,
        "spectrum",
        [helper.make_tensor_value_info("samples", TensorProto.FLOAT, [1, length])],
        [helper.make_tensor_value_info("frames", TensorProto.FLOAT, [1, frames - skipped, spectrum.bands])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
