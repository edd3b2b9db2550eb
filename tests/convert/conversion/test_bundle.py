"""Writing a bundle: whichever of its parts fails, the reason is told and nothing is left."""

from pathlib import Path
from types import ModuleType

import pytest

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.manifest import MANIFEST
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion import bundle, convert
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.graph.options import Exporter, OnnxOptions


def test_the_manifest_that_is_given_back_is_the_one_on_disk(tiny_checkpoint: Path, tmp_path: Path) -> None:
    bundle = make_bundle(Source(tiny_checkpoint), Target(tmp_path, "tiny"))
    assert (tmp_path / MANIFEST).read_text() == bundle.manifest.to_json()
    assert set(bundle.manifest.files) == {"torchaudio", "config", "safetensors", "heads", "onnx", "card"}


@pytest.mark.parametrize("exporter", ["graph", "torch"])
def test_the_manifest_names_the_versions_that_had_a_part(
    exporter: Exporter, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Whatever else is installed: a bundle is the same wherever it is made."""
    made = make_bundle(Source(tiny_checkpoint), Target(tmp_path, "tiny"), OnnxOptions(exporter=exporter))
    traced = {"torch", "torchaudio", "onnxscript"} if exporter == "torch" else set()
    assert made.manifest.versions.keys() == {"aves-ports", "python", "onnx", "safetensors", "numpy"} | traced


@pytest.mark.parametrize(
    ("module", "part"),
    [
        (bundle, "file_record"),
        (bundle, "hashed"),
        (convert, "write_torch_file"),
        (bundle, "write_safetensors"),
        (bundle, "write_onnx_file"),
    ],
)
def test_whatever_fails_nothing_is_left(
    module: ModuleType, part: str, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise InputError("no space left")

    monkeypatch.setattr(module, part, fail)
    with pytest.raises(InputError, match="no space left"):
        make_bundle(Source(tiny_checkpoint), Target(tmp_path / "bundle", "tiny"))
    assert not (tmp_path / "bundle").exists()


def test_damage_to_a_tensor_that_no_port_has_is_told(tiny_checkpoint: Path, tmp_path: Path) -> None:
    unused = read_checkpoint(tiny_checkpoint).tensors["label_embs_concat"].read().tobytes()
    content = tiny_checkpoint.read_bytes()
    assert content.count(unused) == 1
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(content.replace(unused, unused[:-1] + bytes([unused[-1] ^ 1])))
    with pytest.raises(InputError, match="damaged"):
        make_bundle(Source(damaged), Target(tmp_path / "bundle", "tiny"))
    assert not (tmp_path / "bundle").exists()
