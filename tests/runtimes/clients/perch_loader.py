"""jaxonnxruntime through perch-hoplite's own AVES loader."""

from __future__ import annotations

import sys
from pathlib import Path

import jaxonnxruntime.core
from exchange import Run, serve
from jaxonnxruntime import call_onnx

# The package on the index has this module one folder higher than its repository's head, where perch-hoplite wants it.
sys.modules.setdefault("jaxonnxruntime.core.call_onnx", call_onnx)
jaxonnxruntime.core.call_onnx = call_onnx


def load(model: Path) -> Run:
    from perch_hoplite.zoo.aves_model import AVES  # which imports what was put right above

    encoder = AVES(sample_rate=16_000, model_path=str(model))
    return lambda waveform: encoder.batch_embed(waveform).embeddings[:, :, 0]


serve(load, "perch-hoplite", "jaxonnxruntime", "jax", "onnx", "numpy")
