"""AOTInductor: TorchAudio's port compiled ahead of time to a library, for programs without Python."""

import tempfile
from pathlib import Path

import torch
from exchange import Run, serve
from torchaudio_port import exported, runs


def load(weights: Path) -> Run:
    folder = tempfile.mkdtemp()
    package = torch._inductor.aoti_compile_and_package(exported(weights), package_path=str(Path(folder) / "port.pt2"))
    return runs(torch._inductor.aoti_load_package(package))


serve(load, "torch", "torchaudio", "numpy")
