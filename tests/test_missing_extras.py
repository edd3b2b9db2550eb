"""Every command and option that needs an extra says in one line which, and does nothing, where it is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from aves_artifacts import cli as artifacts
from aves_artifacts.base.extras import MODULES, install
from aves_artifacts.bundle.bundle import Bundle
from aves_convert import cli as convert
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.transformers import fairseq_to_transformers
from aves_verify import cli as verify

PROGRAMS: dict[str, click.Command] = {
    "aves-artifacts": artifacts.main,
    "aves-convert": convert.main,
    "aves-verify": verify.main,
}
COMMANDS = [
    ("aves-verify --all-configs --stand-in", ("verify",)),
    ("aves-verify record --fairseq {checkpoint} --out {out}", ("verify",)),
    ("aves-verify release {checkpoint} --stand-in --to {out}", ("verify", "release")),
    ("aves-verify --backends fairseq,transformers --bundle {bundle}", ("transformers",)),
    ("aves-verify --backends fairseq,openvino --bundle {bundle}", ("openvino",)),
    ("aves-verify corpus run --bundle {bundle} --audio {bundle} --parts {out}", ("verify", "corpus")),
    ("aves-verify corpus report --parts {out}", ("verify", "corpus")),
    ("aves-verify corpus record --bundle {bundle} --audio {bundle} --parts {out}", ("verify", "corpus")),
    ("aves-verify corpus run --bundle {bundle} --audio s3://bucket/folder --parts {out}", ("s3",)),
    ("aves-verify corpus run --bundle {bundle} --audio {bundle} --parts {out} --workers 2", ("dask",)),
    ("aves-verify corpus run --bundle {bundle} --audio {bundle} --parts {out} --scheduler tcp://x:1", ("dask",)),
    ("aves-artifacts publish {bundle} {out}", ("release",)),
    ("aves-artifacts publish {bundle} s3://bucket/folder", ("s3",)),
    ("aves-artifacts publish {bundle} gs://bucket/folder", ("gcs",)),
    ("aves-artifacts verify-release {out}", ("release",)),
    ("aves-artifacts hub {bundle} --out {out} --push me/owls", ("hub",)),
    ("aves-convert fairseq2onnx {checkpoint} --out {out} --exporter torch", ("torch-export",)),
    ("aves-convert bundle {checkpoint} --out {out} --exporter torch", ("torch-export",)),
    ("aves-convert fairseq2onnx {checkpoint} --out {out} --precision int8 --min-snr 30", ("verify",)),
]


def lose(monkeypatch: pytest.MonkeyPatch, *extras: str) -> None:
    for module in (module for extra in extras for module in MODULES[extra]):
        monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.parametrize(("command", "extras"), COMMANDS)
def test_a_missing_extra_is_one_line(
    command: str,
    extras: tuple[str, ...],
    tiny_checkpoint: Path,
    tiny_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lose(monkeypatch, *extras)
    monkeypatch.setenv("AVES_HOME", str(tmp_path / "store"))
    places = {"checkpoint": tiny_checkpoint, "bundle": tiny_bundle.folder, "out": tmp_path / "out"}
    program, *arguments = command.format(**places).split()
    ended = CliRunner().invoke(PROGRAMS[program], arguments)
    assert (ended.exit_code, ended.stdout) == (2, ""), ended.output
    (line,) = ended.stderr.splitlines()
    assert install(*extras) in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_bundle_with_a_folder_is_verified_without_transformers_as_is_told(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no backends are named the folder is among what is run; the line says how to leave it out."""
    made = make_bundle(Source(tiny_checkpoint), Target(tmp_path / "tiny", "tiny", also=("transformers",)))
    lose(monkeypatch, "transformers")
    given = ["--bundle", str(made.folder), "--fairseq", str(tiny_checkpoint)]
    ended = CliRunner().invoke(verify.main, given)
    assert (ended.exit_code, ended.stdout) == (2, ""), ended.output
    (line,) = ended.stderr.splitlines()
    assert "the backend transformers needs transformers, not installed here" in line
    assert install("transformers") in line
    way_out = "--backends fairseq,torchaudio,onnx"
    assert line.endswith(f"; or go on without it: {way_out}")
    if sys.version_info < (3, 13):  # where fairseq imports
        ended = CliRunner().invoke(verify.main, [*given, *way_out.split()])
        assert ended.exit_code == 0, ended.output


@pytest.mark.slow
def test_the_ports_of_a_folder_are_compared_without_transformers_as_is_told(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tiny.transformers"
    fairseq_to_transformers(Source(tiny_checkpoint), folder)
    make_bundle(Source(folder), Target(tmp_path / "tiny", "tiny"))
    lose(monkeypatch, "transformers")
    given = ["--bundle", str(tmp_path / "tiny"), "--transformers", str(folder)]
    ended = CliRunner().invoke(verify.main, given)
    assert ended.exit_code == 2, ended.output
    way_out = "--backends torchaudio,onnx"
    assert ended.stderr.strip().endswith(f"; or go on without it: {way_out}")
    ended = CliRunner().invoke(verify.main, [*given, *way_out.split()])
    assert ended.exit_code == 0, ended.output


@pytest.mark.parametrize(
    ("name", "module"), [("aves_convert.load_model", "torch"), ("aves_verify.read_clips", "soundfile")]
)
def test_a_public_name_that_needs_an_extra_says_so(name: str, module: str) -> None:
    face, _, attribute = name.rpartition(".")
    program = f"import sys; sys.modules[{module!r}] = None\nfrom {face} import {attribute}"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    told = f"ModuleNotFoundError: {name} needs {module}, not installed here; {install('verify')}, or in a clone"
    assert told in ended.stderr.splitlines()[-1]
