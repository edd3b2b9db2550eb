"""Same checkpoint, same bytes: whatever the process, the Python, the torch, the numpy and the onnx that convert it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest
from tests.support.environments import interpreter, make_environment, run_program

from aves_artifacts.bundle.manifest import FILE_NAMES
from aves_convert.conversion.stand_in import write_stand_in

pytestmark = pytest.mark.slow

PROGRAM = """
import platform, sys
import numpy, onnx, torch
from pathlib import Path
from aves_convert.graph.options import OnnxOptions
from aves_convert.conversion.convert import fairseq_to_onnx
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
checkpoint, folder = map(Path, sys.argv[1:])
make_bundle(Source(checkpoint), Target(folder, "x"))
fairseq_to_onnx(Source(checkpoint), folder / "all.onnx", OnnxOptions(layers="all", attention="fused", opset=18))
print(*platform.python_version_tuple()[:2], torch.__version__, numpy.__version__, onnx.__version__)
"""


def digests(folder: Path) -> dict[str, str]:
    """Of every file that holds a model; the manifest and the card tell the versions."""
    names = [FILE_NAMES[role].format(name="x") for role in ("torchaudio", "config", "safetensors", "heads", "onnx")]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (*names, "all.onnx")}


def converted(python: Path, checkpoint: Path, folder: Path, seed: str) -> tuple[str, dict[str, str]]:
    """The versions there, and what the files hold."""
    printed = run_program(python, PROGRAM, checkpoint, folder, environment={"PYTHONHASHSEED": seed})
    return printed, digests(folder)


@pytest.fixture(scope="module")
def here(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return converted(Path(sys.executable), tiny_checkpoint, tmp_path_factory.mktemp("here"), seed="0")[1]


def test_whatever_the_hash_seed(tiny_checkpoint: Path, here: dict[str, str], tmp_path: Path) -> None:
    assert converted(Path(sys.executable), tiny_checkpoint, tmp_path, seed="1")[1] == here


def test_other_weights_are_other_bytes(here: dict[str, str], tmp_path: Path) -> None:
    write_stand_in("bio", tmp_path / "x.pt", geometry="tiny", seed=1)
    others = converted(Path(sys.executable), tmp_path / "x.pt", tmp_path, seed="0")[1]
    assert {name for name, digest in here.items() if others[name] == digest} == {FILE_NAMES["config"].format(name="x")}


ENVIRONMENTS = {
    "3 10 2.1.2": ("3.10", ("torch==2.1.2", "torchaudio==2.1.2", "numpy<2", "onnx==1.16.2")),
    "3 12": ("3.12", ("torch", "torchaudio")),
}


@pytest.mark.environments
@pytest.mark.parametrize("versions", ENVIRONMENTS)
def test_whatever_the_python_and_the_torch(
    versions: str, tiny_checkpoint: Path, here: dict[str, str], tmp_path: Path
) -> None:
    """The oldest of everything on the oldest Python, and the newest of everything on the newest."""
    version, requirements = ENVIRONMENTS[versions]
    python = make_environment(tmp_path / "environment", *requirements, python=interpreter(version))
    found, there = converted(python, tiny_checkpoint, tmp_path / "there", seed="2")
    assert found.startswith(versions)
    assert there == here
