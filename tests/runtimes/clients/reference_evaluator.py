"""onnx's own reference evaluator, which computes each operator as the specification says, with numpy."""

from __future__ import annotations

from pathlib import Path

from exchange import Run, serve
from onnx.reference import ReferenceEvaluator


def load(model: Path) -> Run:
    evaluator = ReferenceEvaluator(str(model))
    return lambda waveform: evaluator.run(["embeddings"], {"waveform": waveform})[0]


serve(load, "onnx", "numpy")
