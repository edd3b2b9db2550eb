"""A package of somebody else's that brings backends: written and packed as a wheel by the tests, installed by uv."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

ROW = """
from aves_verify import Implementation

TOY = Implementation(
    "toy", reads="onnx", make="toymaker.running:load", options={"error": "0"}, install="pip install toymaker"
)
"""
RUNNING = """
import onnxruntime
from aves_verify import Given, RunError


def load(given: Given):
    return Toy(given)


class Toy:
    version = "7.1"

    def __init__(self, given):
        self.error = float(given.options["error"])
        self.settings = {"error added": given.options["error"]}
        self.session = onnxruntime.InferenceSession(str(given.path), providers=["CPUExecutionProvider"])
        assert given.config.encoder_embed_dim == self.session.get_outputs()[0].shape[-1]

    def run(self, waveform, *, layers=False):
        if waveform.shape[1] < 100:
            raise RunError("too short for a toy")
        return {"final": self.session.run(["embeddings"], {"waveform": waveform})[0] + self.error}
"""
FILES = {"toymaker/__init__.py": ROW, "toymaker/running.py": RUNNING}
ENTRIES = {"toy": "toymaker:TOY"}


def wheel(folder: Path, files: Mapping[str, str] = FILES, entries: Mapping[str, str] = ENTRIES) -> Path:
    """Pack modules and their entry points as anybody's build backend would."""
    info = "toymaker-7.1.dist-info"
    points = "".join(f"{name} = {value}\n" for name, value in entries.items())
    packed = {
        **files,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: toymaker\nVersion: 7.1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[aves_verify.backends]\n{points}",
    }
    packed[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*packed, f"{info}/RECORD"))
    path = folder / "toymaker-7.1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in packed.items():
            archive.writestr(name, text)
    return path


def installed(folder: Path, **given: Mapping[str, str]) -> Path:
    """A folder for sys.path in which the package is installed."""
    place = folder / "site"
    command = ["uv", "pip", "install", "--quiet", "--offline", "--no-index", "--no-deps", "--python", sys.executable]
    subprocess.run([*command, "--target", str(place), str(wheel(folder, **given))], check=True)
    return place
