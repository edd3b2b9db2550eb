"""tract, which is written in Rust, by its package for Python; for any batch and any length at once."""

from __future__ import annotations

from pathlib import Path

import tract
from exchange import Run, serve


def load(model: Path) -> Run:
    runnable = tract.onnx().load(str(model)).into_model().into_runnable()
    return lambda waveform: runnable.run([waveform])[0].to_numpy()


serve(load, "tract", "numpy")
