"""A smaller encoder as other tools make it, of the ordinary export, of optimum's, or of TorchAudio's model.

    python -m benchmarks.peers.reduced_peers NAME FILE OUT

FILE is the graph, or for TorchAudio the checkpoint. Prints the size in bytes of what is stored.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _onnxruntime(**options: Any) -> Callable[[Path, Path], int]:
    def make(graph: Path, out: Path) -> int:
        from onnxruntime.quantization import quantize_dynamic

        quantize_dynamic(graph, out, **options)
        return out.stat().st_size

    return make


def _torch(checkpoint: Path, _out: Path) -> int:
    """It is made anew by each process that runs it; what would be stored is its state dict."""
    import torch
    from benchmarks.peers.encoders import torch_dynamic_model

    buffer = io.BytesIO()
    torch.save(torch_dynamic_model(checkpoint).state_dict(), buffer)
    return buffer.getbuffer().nbytes


MAKERS: dict[str, Callable[[Path, Path], int]] = {
    "onnxruntime": _onnxruntime(),
    "onnxruntime-matmul": _onnxruntime(op_types_to_quantize=["MatMul"]),
    "onnxruntime-rows": _onnxruntime(op_types_to_quantize=["MatMul"], per_channel=True),
    "torch-dynamic": _torch,
}


if __name__ == "__main__":
    print(MAKERS[sys.argv[1]](*map(Path, sys.argv[2:])))
