"""The light install for real: what is built installs, is small, and does without torch all that needs none."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.support.environments import PROJECT, SETTINGS, directory_size, plain_environment, run_program

from aves_artifacts.base.extras import install
from aves_artifacts.base.versions import version_of
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.convert import fairseq_to_onnx
from aves_convert.conversion.request import Source, Target
from aves_verify import cli as verify

pytestmark = pytest.mark.environments
PROGRAMS = ("aves-artifacts", "aves-convert", "aves-verify")
MOST = 150_000_000  # bytes on disk


@dataclass(frozen=True)
class Built:
    """What ``uv build`` gives."""

    wheel: Path
    sdist: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(["uv", "build", "--quiet", "--out-dir", str(folder), str(PROJECT)], check=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Built(wheel, sdist)


@pytest.fixture(scope="module")
def light(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs in an environment with the wheel; what the manifest names is as new as here."""
    same = [f"{package}=={version_of(package)}" for package in ("numpy", "onnx", "safetensors")]
    return plain_environment(tmp_path_factory.mktemp("light") / "environment", str(built.wheel), *same).parent


def ended(place: Path, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(place / program), *map(str, arguments)], capture_output=True, text=True, check=False)


def said(place: Path, program: str, *arguments: object) -> str:
    """What a program prints that ends well."""
    done = ended(place, program, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_is_small_and_has_no_torch(light: Path) -> None:
    assert directory_size(light.parent) < MOST
    program = "import importlib.util as u; print(*map(u.find_spec, ('torch', 'torchaudio', 'onnxruntime')))"
    assert run_program(light / "python", program) == "None None None"


def test_it_makes_and_checks_the_same_bundle_which_is_verified_elsewhere(
    light: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    assert "fairseq checkpoint" in said(light, "aves-convert", "inspect", tiny_checkpoint)
    folder = tmp_path / "light"
    assert "50 tensors mapped" in said(light, "aves-convert", "bundle", tiny_checkpoint, "--out", folder)
    checked = said(light, "aves-artifacts", "check", folder)
    assert "6 files are as they were made" in checked
    assert f"tiny.torchaudio.pt not loaded with torch: {install('verify')}" in checked

    make_bundle(Source(tiny_checkpoint), Target(tmp_path / "full", "tiny"))
    assert contents(folder) == contents(tmp_path / "full")
    backends = ["--backends", "torchaudio,onnx"] if sys.version_info >= (3, 13) else []  # fairseq does not import there
    report = tmp_path / "report.json"
    verified = ["--bundle", str(folder), "--fairseq", str(tiny_checkpoint), "--json", str(report), *backends]
    found = CliRunner().invoke(verify.main, verified)
    assert found.exit_code == 0, found.output
    said(light, "aves-verify", "diff", report, report)


def test_it_converts_to_the_same_files(light: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    said(light, "aves-convert", "fairseq2torchaudio", tiny_checkpoint, "--out", tmp_path / "ports")
    said(light, "aves-convert", "fairseq2onnx", tiny_checkpoint, "--out", tmp_path / "tiny.onnx")
    weights, config = (tmp_path / "ports" / f"tiny.torchaudio.{end}" for end in ("pt", "model_config.json"))
    graph = tmp_path / "again.onnx"
    said(light, "aves-convert", "torchaudio2onnx", weights, "--config", config, "--out", graph)
    back = tmp_path / "back.pt"
    given = ("--config", config, "--like", tiny_checkpoint, "--out", back)
    said(light, "aves-convert", "torchaudio2fairseq", weights, *given)

    made = make_bundle(Source(tiny_checkpoint), Target(tmp_path / "full", "tiny"))
    assert weights.read_bytes() == made.path("torchaudio").read_bytes()
    fairseq_to_onnx(Source(tiny_checkpoint), tmp_path / "full.onnx")
    assert (tmp_path / "tiny.onnx").read_bytes() == (tmp_path / "full.onnx").read_bytes()
    assert graph.exists()
    assert back.exists()


def test_it_says_what_it_lacks_and_how_to_add_it(light: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    told = said(light, "aves-verify", "doctor")
    assert "BROKEN" not in told
    assert "LIMITED" not in told
    assert told.splitlines()[-1] == "WORKS: conversion runs here, and verification with the extra verify"
    assert "  verify       for aves-verify" in told
    assert "  transformers for aves-verify --backends transformers" in told
    traced = ("aves-convert", "fairseq2onnx", tiny_checkpoint, "--out", tmp_path / "x.onnx", "--exporter", "torch")
    verified = ("aves-verify", "bio", "--stand-in")
    for extra, (program, *arguments) in (("torch-export", traced), ("verify", verified)):
        done = ended(light, program, *arguments)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert install(extra) in line


def test_what_is_built_installs_and_runs_under_one_version(built: Built, light: Path, tmp_path: Path) -> None:
    from_source = plain_environment(tmp_path / "environment", str(built.sdist)).parent
    for place in (light, from_source):
        for program in PROGRAMS:
            assert said(place, program, "--help").startswith(f"Usage: {program}")
            assert said(place, program, "--version") == f"{program}, version {SETTINGS['version']}\n"
    assert built.wheel.name.split("-")[1] == SETTINGS["version"]


def test_the_command_that_is_told_adds_the_extra(built: Built, tmp_path: Path) -> None:
    """Also where no index has this project: what is installed knows its extras."""
    python = plain_environment(tmp_path / "environment", str(built.wheel))
    told = ended(python.parent, "aves-artifacts", "verify-release", tmp_path / "nowhere")
    assert install("release") in told.stderr
    wanted = install("release").removeprefix("pip install ").strip("'")
    subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(python), wanted], check=True, cwd=tmp_path)
    assert "nowhere" in ended(python.parent, "aves-artifacts", "verify-release", tmp_path / "nowhere").stderr
