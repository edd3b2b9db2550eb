"""What people use today, each in an environment of its own below the work folder, built once by uv."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tests.support.environments import interpreter, plain_environment

# The newest torchaudio whose own import is documented to work, on the newest Python that fairseq imports on unaided.
TORCHAUDIO_ROUTE = ("torch==2.8.0", "torchaudio==2.8.0", "fairseq==0.12.2")
# optimum holds transformers below version 5.
OPTIMUM = ("optimum-onnx[onnxruntime]==0.1.0", "torch==2.15.0")
# fairseq hands the checkpoint to torch.load, which from torch 2.6 on refuses it
ROUTE_VARIABLES = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}


def torchaudio_route(work: Path) -> Path:
    """The interpreter that has fairseq and torchaudio as they belong together."""
    return _environment(work / "environments" / "torchaudio", TORCHAUDIO_ROUTE, interpreter("3.10"))


def optimum(work: Path) -> Path:
    """The interpreter that has optimum."""
    return _environment(work / "environments" / "optimum", OPTIMUM, interpreter("3.11"))


def optimum_export(python: Path, pretrained: Path, out: Path) -> list[str]:
    """``optimum-cli export onnx`` of a model folder as a command; it also runs the graph, to compare its outputs."""
    options = ["--model", str(pretrained), "--task", "feature-extraction"]
    return [str(python), "-m", "optimum.exporters.onnx", *options, str(out)]


def optimum_export_alone(python: Path, pretrained: Path, out: Path) -> list[str]:
    """The same without running the graph."""
    options = "task='feature-extraction', do_validation=False"
    call = f"import sys; from optimum.exporters.onnx import main_export; main_export(*sys.argv[1:], {options})"
    return [str(python), "-c", call, str(pretrained), str(out)]


def _environment(folder: Path, requirements: Sequence[str], python: str) -> Path:
    """An environment; one that was begun and not finished is built again."""
    made, complete = folder / ("Scripts" if os.name == "nt" else "bin") / "python", folder / "complete"
    if not complete.exists():
        plain_environment(folder, *requirements, python=python)
        complete.touch()
    return made
