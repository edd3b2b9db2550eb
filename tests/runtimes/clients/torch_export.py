"""torch.export of TorchAudio's port, saved and loaded again."""

import tempfile
from pathlib import Path

import torch
from exchange import Run, serve
from torchaudio_port import exported, runs


def load(weights: Path) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "port.pt2"
        torch.export.save(exported(weights), file)
        return runs(torch.export.load(file).module())


serve(load, "torch", "torchaudio", "numpy")
