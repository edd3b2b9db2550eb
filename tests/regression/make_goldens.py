"""Make the goldens anew: fairseq in an environment of its own time, beside nothing of this project.

python -m tests.regression.make_goldens [--out FOLDER] [--python PYTHON] [NAME...]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tests.regression.golden import FOLDER, Golden, clip_hashes, sampled, values, waveforms, write_golden
from tests.regression.models import NAMES, Files, write_model
from tests.support.environments import interpreter, plain_environment

from aves_artifacts.files.file_record import sha256_of
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.weights.to_torchaudio import to_torchaudio
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend

ORIGINAL = Path(__file__).with_name("original.py")
PYTHON = "3.10"
# fairseq 0.12.2 is of June 2022; these are the last of its time.
REQUIREMENTS = ("torch==1.13.1", "torchaudio==0.13.1", "numpy==1.23.5", "fairseq==0.12.2")


def make_environment_of_its_time(folder: Path) -> Path:
    """An environment with the original and nothing of ours; returns its interpreter."""
    return plain_environment(folder, *REQUIREMENTS, python=interpreter(PYTHON))


def make_goldens(names: Sequence[str], out: Path, python: Path) -> None:
    """Write checkpoints and clips, have ``python`` run the original on them, and keep samples of what it gave."""
    with tempfile.TemporaryDirectory(prefix="aves-goldens-") as made:
        folder = Path(made)
        prepared = {name: _prepare(name, folder) for name in names}
        request = {
            name: {
                "checkpoint": str(files.checkpoint),
                "pretrained": str(files.pretrained) if files.pretrained else None,
                "clips": str(folder / f"{name}.clips.npz"),
            }
            for name, (files, _) in prepared.items()
        }
        (folder / "request.json").write_text(json.dumps(request))
        command = [str(python), str(ORIGINAL), "request.json", "outputs.npz", "provenance.json"]
        subprocess.run(command, check=True, cwd=folder)
        told = json.loads((folder / "provenance.json").read_text()) | {"packages": _packages(python)}
        with np.load(folder / "outputs.npz") as outputs:
            for name, (files, clips) in prepared.items():
                write_golden(_golden(name, files, clips, outputs, told), out / f"{name}.safetensors")


def _prepare(name: str, folder: Path) -> tuple[Files, dict[str, NDArray[np.float32]]]:
    files = write_model(name, folder)
    checkpoint = read_checkpoint(files.checkpoint, files.pretrained)
    clips = waveforms(to_torchaudio(checkpoint).config, normalize=checkpoint.task_config.get("normalize") is True)
    np.savez(folder / f"{name}.clips.npz", **clips)
    return files, clips


def _golden(
    name: str, files: Files, clips: dict[str, NDArray[np.float32]], outputs: Any, told: dict[str, Any]
) -> Golden:
    """Samples of the original's outputs and of the float64 answer, which the TorchAudio model computes."""
    converted = to_torchaudio(read_checkpoint(files.checkpoint, files.pretrained))
    exact = TorchaudioBackend(converted.config, converted.state_dict, dtype=torch.float64)
    answers = sampled(lambda waveform: exact.run(waveform, layers=True), clips, values(name))
    given = {clip: {layer: outputs[f"{name}/{clip}/{layer}"] for layer in answers} for clip in clips}
    names = iter(clips)
    original = sampled(lambda _: given[next(names)], clips, values(name))
    provenance = {
        "model": name,
        "checkpoint_sha256": sha256_of(files.checkpoint),
        "pretrained_sha256": sha256_of(files.pretrained) if files.pretrained else None,
        "clips_sha256": clip_hashes(clips),
        "original": told,
        "exact": f"torchaudio {exact.version} in float64 beside torch {torch.__version__}",
    }
    return Golden(tuple(clips), original, answers, provenance)


def _packages(python: Path) -> list[str]:
    """Everything that is installed there."""
    command = ["uv", "pip", "freeze", "--quiet", "--python", str(python)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def main() -> None:
    """Make all, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--python", type=Path, help="that environment's interpreter, if it is made already")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aves-original-") as folder:
        python = given.python or make_environment_of_its_time(Path(folder) / "environment")
        make_goldens(given.names or NAMES, given.out, python)


if __name__ == "__main__":
    main()
