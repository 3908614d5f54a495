"""ONNX networks on the processor, as workers run them: many processes of few threads."""

from __future__ import annotations

from pathlib import Path

import onnxruntime


def open_session(graph: Path | str | bytes, threads: int) -> onnxruntime.InferenceSession:
    """A session with so many threads for one call, of the graph in a file or in memory."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning thread steals the core that another worker needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A pattern is kept for every length of input, and memory grows with each.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    graph = graph if isinstance(graph, bytes) else str(graph)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
