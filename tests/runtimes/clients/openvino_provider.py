"""ONNX Runtime's OpenVINO provider, whatever it cannot do left to ONNX Runtime's own CPU provider."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
from exchange import Run, serve


def load(model: Path) -> Run:
    openvino = ("OpenVINOExecutionProvider", {"device_type": "CPU", "precision": "FP32"})
    session = onnxruntime.InferenceSession(str(model), providers=[openvino, "CPUExecutionProvider"])
    if session.get_providers()[0] != openvino[0]:
        raise RuntimeError(f"the provider is not there: {session.get_providers()}")
    return lambda waveform: session.run(["embeddings"], {"waveform": waveform})[0]


serve(load, "onnxruntime-openvino", "numpy")
