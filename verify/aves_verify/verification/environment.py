"""Finding out what the numbers of a report were measured with."""

from __future__ import annotations

import platform
from pathlib import Path

from aves_artifacts.base.versions import version_of


def environment() -> dict[str, str | int | None]:
    """List versions of everything that computes, the processor and the threads; None where it is not installed."""
    import torch

    packages = (
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
    return {
        "python": platform.python_version(),
        **{package: version_of(package) for package in packages},
        "cpu": _processor(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    """The processor's model name; Linux tells it in /proc/cpuinfo, elsewhere the platform's short name must do."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
