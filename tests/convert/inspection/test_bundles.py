"""What is told of bundles, and of JSON."""

from pathlib import Path

import pytest
from tests.support.inspected import assert_usable

from aves_artifacts.bundle.manifest import MANIFEST
from aves_convert.inspection.identify import inspect


def test_a_config(bundle: Path) -> None:
    path = bundle / "tiny.torchaudio.model_config.json"
    found = inspect(path)
    assert_usable(found, "TorchAudio model config")
    assert (found.facts["encoder_num_layers"], found.facts["hop"]) == (2, 320)
    weights = bundle / "tiny.torchaudio.pt"
    assert found.next == f"aves-convert torchaudio2onnx {weights} --config {path} --out tiny.onnx"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}', "not a wav2vec2_model config: unknown entries: 'a'"),
        ('{"a": 1', "damaged or truncated JSON"),
        ('{"a": ' + "1" * 5000 + "}", "damaged or truncated JSON"),
        ('{"a": ' + "[" * 100_000, "damaged or truncated JSON"),
        ("{" + " " * (1 << 24) + "}", "larger than any config"),
    ],
)
def test_other_json(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    assert message in "\n".join(inspect(tmp_path / "x.json").problems)


@pytest.mark.parametrize("inside", ["", MANIFEST])
def test_a_bundle_by_its_folder_or_its_manifest(inside: str, bundle: Path) -> None:
    found = inspect(bundle / inside)
    assert_usable(found, "bundle")
    assert found.facts["name"] == "tiny"
    assert found.facts["tensors"] == {"mapped": 50, "dropped": 4}
    assert (found.facts["licence"], found.facts["report"]) == ("not recorded", "none")
    assert found.next == f"aves-verify --bundle {bundle} --fairseq {bundle.parent / 'tiny.pt'}"


def test_a_damaged_bundle(tmp_path: Path, bundle: Path) -> None:
    for file in bundle.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert inspect(tmp_path).next == f"aves-verify --bundle {tmp_path} --backends torchaudio,onnx"
    (tmp_path / "tiny.onnx").write_bytes(b"x")
    (tmp_path / "tiny.torchaudio.pt").unlink()
    found = inspect(tmp_path)
    assert [problem.partition("; make")[0].rstrip("0123456789") for problem in found.problems] == [
        f"{tmp_path}: tiny.torchaudio.pt is missing",
        f"{tmp_path}: tiny.onnx has 1 bytes, its manifest says ",
    ]
    assert found.next is None


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    assert "no bundle: manifest.json is missing" in "\n".join(inspect(tmp_path).problems)
