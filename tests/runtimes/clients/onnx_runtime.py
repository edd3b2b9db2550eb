"""ONNX Runtime, any version of its package for CPUs."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
from exchange import Run, serve


def load(model: Path) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return lambda waveform: session.run(["embeddings"], {"waveform": waveform})[0]


serve(load, "onnxruntime", "numpy")
