"""OpenVINO on its CPU device, with float32 as inference precision and a graph of any length."""

from __future__ import annotations

from pathlib import Path

import openvino
from exchange import Run, serve


def load(model: Path) -> Run:
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2}
    compiled = openvino.Core().compile_model(str(model), "CPU", settings)
    return lambda waveform: compiled({"waveform": waveform})["embeddings"]


serve(load, "openvino", "numpy")
