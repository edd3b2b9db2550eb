"""Finding out what the numbers of a report were measured with."""

from __future__ import annotations

import platform

from aves_artifacts.base.processor import processor_name
from aves_artifacts.base.versions import version_of

PACKAGES = (
    "torch",
    "torchaudio",
    "onnxruntime",
    "transformers",
    "openvino",
    "onnx",
    "numpy",
    "fairseq",
    "aves-ports",
)


def environment() -> dict[str, str | int | None]:
    """List versions of everything that computes, the processor and the threads; None where it is not installed."""
    import torch

    return {
        "python": platform.python_version(),
        **{package: version_of(package) for package in PACKAGES},
        "cpu": processor_name(),
        "threads": torch.get_num_threads(),
    }
