"""MNN on the processor; its converter makes its own file of the graph first."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import MNN
import numpy as np
from exchange import Run, serve


def load(model: Path) -> Run:
    made = Path(tempfile.mkdtemp()) / "graph.mnn"
    converter = Path(sys.executable).with_name("mnnconvert")
    options = ["-f", "ONNX", "--modelFile", str(model), "--MNNModel", str(made), "--bizCode", "aves"]
    subprocess.run([str(converter), *options], check=True, stdout=sys.stderr)
    manager = MNN.nn.create_runtime_manager(({"backend": "CPU", "precision": "high", "numThread": 2},))
    net = MNN.nn.load_module_from_file(str(made), ["waveform"], ["embeddings"], runtime_manager=manager)

    def run(waveform: np.ndarray) -> np.ndarray:
        given = MNN.expr.placeholder(list(waveform.shape), MNN.expr.NCHW)
        given.write(waveform)
        return np.array(net.forward([given])[0].read())

    return run


serve(load, "MNN", "numpy")
