"""A checkpoint of fairseq's own trainer goes through bundle and aves-verify; nothing in it comes from this project."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from aves_convert.cli import main as convert
from aves_verify.cli import main as verify


@pytest.mark.trainer
def test_a_genuine_checkpoint_converts_and_verifies(trained: Path, tmp_path: Path) -> None:
    made = CliRunner().invoke(convert, ["bundle", str(trained), "--out", str(tmp_path / "b"), "--layers", "all"])
    assert made.exit_code == 0, made.output
    arguments = ["--bundle", tmp_path / "b", "--fairseq", trained, "--layers", "all", "--json", tmp_path / "r.json"]
    verified = CliRunner().invoke(verify, [str(argument) for argument in arguments])
    assert verified.exit_code == 0, verified.output
    (config,) = json.loads((tmp_path / "r.json").read_text())["configs"]
    assert config["source"] == "file"
    worst = {
        b: max(c["max_abs"] for c in config["comparisons"] if c["backend"] == b and c["layer"] == "final")
        for b in ("torchaudio", "onnx")
    }
    assert worst["torchaudio"] < 1e-5
    assert worst["onnx"] < 1e-3  # of sounds drawn anew, quiet ones on an offset among them: 2.5e-4 was seen
    assert json.loads((tmp_path / "b" / "manifest.json").read_text())["encoder"]["normalize"] is (
        "small-prenorm" in trained.parts
    )
