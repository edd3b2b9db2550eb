"""The commands as a user meets them: what they write, and how they end on bad input."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import Result
from tests.support.commands import invoke

from aves_artifacts.bundle.check import check_bundle
from aves_artifacts.encoder import EncoderConfig
from aves_convert.cli import main
from aves_convert.conversion.stand_in import GEOMETRIES, checkpoint_contents
from aves_convert.torch_files.writer import write_torch_file
from aves_convert.weights.model import import_torchaudio

run = functools.partial(invoke, main)


def assert_refused(result: Result, *words: str) -> None:
    """One line, exit status 2, no traceback."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    message = result.output.strip()
    assert message.startswith("Error: ")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_fairseq2torchaudio_writes_what_users_load(tiny_checkpoint: Path, tmp_path: Path) -> None:
    result = run("fairseq2torchaudio", tiny_checkpoint, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert sorted(os.listdir(tmp_path)) == ["tiny.torchaudio.model_config.json", "tiny.torchaudio.pt"]
    config = json.loads((tmp_path / "tiny.torchaudio.model_config.json").read_text())
    model = import_torchaudio().models.wav2vec2_model(**config, aux_num_out=None)
    state_dict = torch.load(tmp_path / "tiny.torchaudio.pt", weights_only=True)
    model.load_state_dict(state_dict)
    assert type(state_dict) is dict
    assert {tensor.dtype for tensor in state_dict.values()} == {torch.float32}
    assert all(tensor.is_contiguous() for tensor in state_dict.values())
    assert "encoder.transformer.pos_conv_embed.conv.weight_g" in state_dict


@pytest.mark.parametrize("exporter", ["graph", "torch"])
@pytest.mark.parametrize("layers", ["last", "all"])
def test_both_ways_to_onnx_give_the_same(tiny_checkpoint: Path, tmp_path: Path, exporter: str, layers: str) -> None:
    options = ("--exporter", exporter, "--layers", layers)
    assert run("fairseq2torchaudio", tiny_checkpoint, "--out", tmp_path, "--name", "x").exit_code == 0
    weights, config = tmp_path / "x.torchaudio.pt", tmp_path / "x.torchaudio.model_config.json"
    one, other = tmp_path / "one.onnx", tmp_path / "other.onnx"
    assert run("fairseq2onnx", tiny_checkpoint, "--out", one, *options).exit_code == 0
    assert run("torchaudio2onnx", weights, "--config", config, "--out", other, *options).exit_code == 0
    waveform = np.sin(np.arange(2 * 3000, dtype=np.float32)).reshape(2, 3000)
    sessions = [onnxruntime.InferenceSession(str(path)) for path in (one, other)]
    names = [output.name for output in sessions[0].get_outputs()]
    assert names == (["embeddings"] if layers == "last" else ["embeddings", "layer.0", "layer.1"])
    for a, b in zip(*(session.run(None, {"waveform": waveform}) for session in sessions), strict=True):
        assert np.array_equal(a, b)
    model = onnx.load(one)
    assert [v.version for v in model.opset_import if v.domain == ""] == [17]
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["sample_rate"] == "16000"
    assert (metadata["hop"], metadata["receptive_field"]) == ("320", "400")
    assert len(metadata["source_sha256"]) == 64
    assert metadata["licence"] == "unknown"


def test_the_licence_is_in_the_graph(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Of a bundle the check holds it against the manifest's."""
    assert run("fairseq2torchaudio", tiny_checkpoint, "--out", tmp_path, "--name", "x").exit_code == 0
    weights, config = tmp_path / "x.torchaudio.pt", tmp_path / "x.torchaudio.model_config.json"
    commands = (("fairseq2onnx", tiny_checkpoint), ("torchaudio2onnx", weights, "--config", config))
    for number, arguments in enumerate(commands):
        path = tmp_path / f"{number}.onnx"
        assert run(*arguments, "--out", path, "--licence", "CC-BY-4.0").exit_code == 0
        assert {entry.key: entry.value for entry in onnx.load(path).metadata_props}["licence"] == "CC-BY-4.0"
    result = run("bundle", tiny_checkpoint, "--out", tmp_path / "b", "--name", "x", "--licence", "MIT")
    assert result.exit_code == 0, result.output
    assert check_bundle(tmp_path / "b").passed


def test_the_exporters_agree(tiny_checkpoint: Path, tmp_path: Path) -> None:
    outputs = []
    waveform = np.sin(np.arange(16_000, dtype=np.float32))[None]
    for exporter in ("graph", "torch"):
        path = tmp_path / f"{exporter}.onnx"
        assert run("fairseq2onnx", tiny_checkpoint, "--out", path, "--exporter", exporter).exit_code == 0
        outputs.append(onnxruntime.InferenceSession(str(path)).run(None, {"waveform": waveform})[0])
    np.testing.assert_allclose(*outputs, atol=2e-5)
    assert not np.array_equal(*outputs)  # they are two graphs


def test_a_bundle_says_what_became_of_every_tensor(tiny_checkpoint: Path, tmp_path: Path) -> None:
    result = run("bundle", tiny_checkpoint, "--out", tmp_path / "b", "--name", "x")
    assert result.exit_code == 0, result.output
    assert "50 tensors mapped, 4 dropped" in result.output
    assert "next: aves-verify --bundle" in result.output
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert len(manifest["ledger"]) == 54
    assert set(manifest["files"]) == {"torchaudio", "config", "safetensors", "heads", "onnx", "card"}
    assert manifest["encoder"]["normalize"] is False
    config = EncoderConfig.read(tmp_path / "b" / manifest["files"]["config"]["name"])
    assert config.encoder_embed_dim == 24


@pytest.mark.parametrize(
    "command",
    [
        lambda ckpt, out: ("fairseq2torchaudio", ckpt, "--out", out),
        lambda ckpt, out: ("fairseq2onnx", ckpt, "--out", out / "x.onnx"),
        lambda ckpt, out: ("bundle", ckpt, "--out", out),
    ],
)
def test_existing_results_are_kept_without_force(
    tiny_checkpoint: Path, tmp_path: Path, command: Callable[[Path, Path], tuple[object, ...]]
) -> None:
    assert run(*command(tiny_checkpoint, tmp_path)).exit_code == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert_refused(run(*command(tiny_checkpoint, tmp_path)), "already there", "--force")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert run(*command(tiny_checkpoint, tmp_path), "--force").exit_code == 0
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before  # the same bytes again


def bad_files(folder: Path, good: bytes) -> dict[str, tuple[bytes | None, str]]:
    marker = folder / "executed"
    program = f"cposix\nsystem\n(Vtouch {marker}\ntR.".encode()
    return {
        "missing.pt": (None, "no such file"),
        "empty.pt": (b"", "empty"),
        "page.pt": (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
        "truncated.pt": (good[: len(good) // 2], "incomplete"),
        "program.pt": (program, "posix.system"),
        "noise.pt": (bytes(range(256)) * 10, "not"),
    }


@pytest.mark.parametrize("name", ["missing.pt", "empty.pt", "page.pt", "truncated.pt", "program.pt", "noise.pt"])
@pytest.mark.parametrize("command", ["fairseq2torchaudio", "fairseq2onnx", "bundle"])
def test_what_is_no_checkpoint_is_refused_in_one_line(
    tiny_checkpoint: Path, tmp_path: Path, command: str, name: str
) -> None:
    content, word = bad_files(tmp_path, tiny_checkpoint.read_bytes())[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    out = tmp_path / "out" / ("x.onnx" if command == "fairseq2onnx" else "")
    assert_refused(run(command, tmp_path / name, "--out", out), name, word)
    assert not (tmp_path / "executed").exists()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != name]


def test_a_folder_that_cannot_be_written_is_told(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where the folder should be")
    for arguments in (
        ("fairseq2torchaudio", tiny_checkpoint, "--out", tmp_path / "file" / "deeper"),
        ("fairseq2onnx", tiny_checkpoint, "--out", tmp_path / "file" / "x.onnx"),
        ("bundle", tiny_checkpoint, "--out", tmp_path / "file" / "deeper"),
        ("stand-in", "bio", "--geometry", "tiny", "--out", tmp_path / "file" / "x.pt"),
    ):
        assert_refused(run(*arguments), "cannot write here")


def test_a_name_that_is_a_path_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    assert_refused(run("bundle", tiny_checkpoint, "--out", tmp_path / "b", "--name", "../x"), "--name")
    assert os.listdir(tmp_path) == []


def test_weights_of_another_geometry_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    assert run("fairseq2torchaudio", tiny_checkpoint, "--out", tmp_path, "--name", "x").exit_code == 0
    config = tmp_path / "x.torchaudio.model_config.json"
    config.write_text(config.read_text().replace('"encoder_num_layers": 2', '"encoder_num_layers": 3'))
    arguments = ("torchaudio2onnx", tmp_path / "x.torchaudio.pt", "--config", config, "--out", tmp_path / "x.onnx")
    result = run(*arguments)
    assert result.exit_code == 2
    lines = result.output.splitlines()
    assert len(lines) == 16
    assert all("missing encoder.transformer.layers.2" in line for line in lines)
    assert_refused(run("torchaudio2onnx", tiny_checkpoint, *arguments[2:]), "not a TorchAudio state dict")


@pytest.mark.parametrize(
    "options",
    [
        ("--opset", "14"),
        ("--opset", "999"),
        ("--exporter", "torch", "--attention", "fused"),
        ("--exporter", "torch", "--opset", "999"),
        ("--exporter", "torch", "--precision", "mixed"),
        ("--fixed-batch", "2"),
        ("--fixed-length", "399"),
        ("--fixed-length", "399", "--exporter", "torch"),
    ],
)
def test_graphs_that_cannot_be_written_are_refused(
    tiny_checkpoint: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    assert_refused(run("fairseq2onnx", tiny_checkpoint, "--out", tmp_path / "x.onnx", *options))
    assert os.listdir(tmp_path) == []


def test_stand_ins_are_kept_without_force(tmp_path: Path) -> None:
    arguments = ("stand-in", "bio", "--geometry", "tiny", "--out", tmp_path / "x.pt")
    assert run(*arguments).exit_code == 0
    assert_refused(run(*arguments), "already there")
    assert run(*arguments, "--force").exit_code == 0


@pytest.mark.parametrize("module", ["aves_convert", "aves_verify"])
def test_help_imports_nothing_heavy(module: str) -> None:
    """What makes --help slow is importing torch, onnx or numpy; the time itself is measured in the benchmarks."""
    program = (
        f"import sys; from {module}.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'torchaudio', 'onnx', 'onnxruntime', 'numpy', 'fairseq', 'soundfile', 'rich'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "HEAVY []" in ended.stdout
    assert "Usage:" in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fairseq2torchaudio", "bundle"])
def test_converting_imports_no_torch(command: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """It would take four fifths of the time and most of the memory; TorchAudio files need no onnx either."""
    program = (
        "import sys; from aves_convert.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: print('STATUS', end.code)\n"
        "print('HEAVY', sorted({'torch', 'onnx'} & set(sys.modules)))"
    )
    arguments = [sys.executable, "-c", program, command, str(tiny_checkpoint), "--out", str(tmp_path / "ports")]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert "STATUS 0" in ended.stdout
    assert ("HEAVY []" if command == "fairseq2torchaudio" else "HEAVY ['onnx']") in ended.stdout


@pytest.mark.slow
def test_bundles_are_made_where_torch_is_missing(tiny_checkpoint: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['torch'] = None; from aves_convert.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", program, "bundle", str(tiny_checkpoint), "--out", str(tmp_path / "ports")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert check_bundle(tmp_path / "ports").passed


def test_a_bundle_has_the_terms_that_are_known_or_given(tiny_checkpoint: Path, tmp_path: Path) -> None:
    def terms(folder: str, *arguments: object, source: Path = tiny_checkpoint) -> tuple[str, str]:
        result = run("bundle", source, "--out", tmp_path / folder, *arguments)
        assert result.exit_code == 0, result.output
        manifest = json.loads((tmp_path / folder / "manifest.json").read_text())
        return manifest["licence"], manifest["citation"]

    assert terms("stand-in", "--name", "aves-base-bio") == ("", "")  # nobody's work is cited for seeded weights
    assert terms("given", "--name", "x", "--licence", "MIT", "--citation", "A. Uthor.") == ("MIT", "A. Uthor.")
    contents = checkpoint_contents(GEOMETRIES["tiny"], seed="x")
    del contents["extra_state"]["stand_in"]
    genuine = tmp_path / "genuine.pt"
    write_torch_file(contents, genuine)
    assert "Masato Hagiwara. AVES:" in terms("known", "--name", "aves-base-bio", source=genuine)[1]
    assert terms("unknown", "--name", "x", source=genuine) == ("", "")
    assert terms("other", "--name", "aves-base-bio", "--citation", "", source=genuine)[1] == ""


def test_a_readme_of_ones_own_is_not_replaced(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    result = run("bundle", tiny_checkpoint, "--out", tmp_path, "--force")
    assert result.exit_code == 2
    assert "README.md is there and is no bundle's; choose another folder" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert run("bundle", tiny_checkpoint, "--out", tmp_path / "b").exit_code == 0
    assert run("bundle", tiny_checkpoint, "--out", tmp_path / "b", "--force").exit_code == 0
