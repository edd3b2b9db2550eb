"""ExecuTorch with XNNPACK, as on telephones: TorchAudio's port lowered for each length, and run by its own runtime."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from exchange import Run, serve
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime
from torchaudio_port import Embeddings, built, without_weight_norm


def load(weights: Path) -> Run:
    model = Embeddings(without_weight_norm(built(weights)))
    folder, methods = Path(tempfile.mkdtemp()), {}

    def run(waveform: np.ndarray) -> np.ndarray:
        if waveform.shape not in methods:
            program = torch.export.export(model, (torch.from_numpy(waveform),))
            lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
            file = folder / f"{'x'.join(map(str, waveform.shape))}.pte"
            file.write_bytes(lowered.buffer)
            methods[waveform.shape] = Runtime.get().load_program(file).load_method("forward")
        return methods[waveform.shape].execute((torch.from_numpy(waveform),))[0].numpy()

    return run


serve(load, "executorch", "torch", "torchaudio", "numpy")
