"""TorchScript: TorchAudio's port scripted, saved and loaded again."""

import tempfile
from pathlib import Path

import torch
from exchange import Run, serve
from torchaudio_port import Embeddings, built, runs, without_weight_norm


def load(weights: Path) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "port.pt"
        torch.jit.script(Embeddings(without_weight_norm(built(weights)))).save(str(file))
        return runs(torch.jit.load(str(file)))


serve(load, "torch", "torchaudio", "numpy")
