"""onnx2torch: the graph as a module of torch, run by torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx2torch
import torch
from exchange import Run, serve


def load(model: Path) -> Run:
    module = onnx2torch.convert(str(model)).eval()

    def run(waveform: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(waveform)).numpy()

    return run


serve(load, "onnx2torch", "torch", "numpy")
