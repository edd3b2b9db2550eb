"""ORT format: the graph as ONNX Runtime's small builds for devices read it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnxruntime
from exchange import Run, serve


def load(model: Path) -> Run:
    made = Path(tempfile.mkdtemp()) / "graph.ort"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(made)
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    threads = onnxruntime.SessionOptions()
    threads.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(made), threads, providers=["CPUExecutionProvider"])
    return lambda waveform: session.run(["embeddings"], {"waveform": waveform})[0]


serve(load, "onnxruntime", "numpy")
