"""Every kind of file is told apart, with the next command; nothing in it runs, and nothing of it breaks the telling."""

import functools
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.hostile_files import COMMAND, HOSTILE_FILES, SYSTEM, HostileFile, pickled, reduced
from tests.support.stand_ins import TINY, VARIANTS
from tests.support.tensors import with_tensors

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.protobuf_fields import Fields
from aves_artifacts.bundle.manifest import MANIFEST
from aves_artifacts.encoder import EncoderConfig, encoder_shapes
from aves_convert.checkpoint.architecture import architecture
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.cli import main
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import checkpoint_contents
from aves_convert.inspection.finding import Inspection
from aves_convert.inspection.identify import inspect
from aves_convert.torch_files.writer import write_torch_file
from aves_convert.weights.model import build_model
from aves_convert.weights.state_dict import old_weight_norm_name


def written(path: Path, model: dict[str, Any], **changes: Any) -> Path:
    write_torch_file({**checkpoint_contents({**TINY, **model}, seed="test"), **changes}, path)
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inspected")
    make_bundle(Source(written(folder / "tiny.pt", {})), Target(folder / "bundle", "tiny"))
    return folder / "bundle"


def command(path: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["inspect", str(path), *options])


def assert_usable(found: Inspection, kind: str) -> None:
    assert (found.kind, found.problems) == (kind, ())
    json.loads(found.to_json())


# --- fairseq checkpoints


def model_shapes(config: EncoderConfig) -> list[tuple[str, tuple[int, ...]]]:
    """What the TorchAudio model itself says, in its order: the arithmetic must give the same."""
    state = build_model(config).state_dict()
    return [(old_weight_norm_name(name), tuple(tensor.shape)) for name, tensor in state.items()]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_checkpoint_of_every_variant(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "x.pt", VARIANTS[name])
    found = inspect(path)
    assert_usable(found, "fairseq checkpoint")
    checkpoint = read_checkpoint(path)
    arch = architecture(checkpoint)
    assert list(encoder_shapes(arch.config).items()) == model_shapes(arch.config)
    assert found.facts["model_class"] == arch.model_class
    assert found.facts["tensors"] == len(checkpoint.tensors)
    assert list(found.facts["dropped"]) == [name for name in checkpoint.tensors if name in arch.dropped]
    encoder = sum(checkpoint.tensors[name].numel for name in arch.mapping)
    assert (found.facts["encoder_parameters"], found.facts["converts"]) == (encoder, True)
    assert found.next == f"aves-convert bundle {path} --out ports"


def test_the_head_of_a_fine_tuned_model_is_counted() -> None:
    contents = checkpoint_contents(TINY, seed="test")
    config = architecture(_described(contents)).config
    with_head = EncoderConfig(**{**config.kwargs(), "aux_num_out": 5})
    assert list(encoder_shapes(with_head).items()) == model_shapes(with_head)


def _described(contents: dict[str, Any]) -> Any:
    from aves_convert.checkpoint.checkpoint import Checkpoint

    return Checkpoint(Path("x"), contents["cfg"]["model"], contents["cfg"]["task"], tensors={})


def test_what_a_checkpoint_carries(tmp_path: Path) -> None:
    contents = checkpoint_contents(TINY, seed="test", task={"normalize": True}, dtype=np.float16)
    contents["last_optimizer_state"] = {"state": {}}
    contents["extra_state"]["ema"] = {"mask_emb": np.zeros(24, np.float32)}
    contents["optimizer_history"][0]["num_updates"] = 400_000
    write_torch_file(contents, tmp_path / "x.pt")
    facts = inspect(tmp_path / "x.pt").facts
    expected = {
        "format": "torch.save",
        "precision": {"float16": len(contents["model"])},
        "updates": 400_000,
        "labels": {"km": 504},
        "optimizer_state": True,
        "moving_average": True,
        "normalize": True,
        "norm": "post-norm",
        "layers": 2,
    }
    assert {name: facts[name] for name in expected} == expected


def test_the_format_from_before_zip(tmp_path: Path) -> None:
    contents = {**with_tensors(checkpoint_contents(TINY, seed="test")), "task_state": {}}
    torch.save(contents, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    found = inspect(tmp_path / "x.pt")
    assert_usable(found, "fairseq checkpoint")
    assert found.facts["format"] == "torch.save of torch before 1.6"


def without(contents: dict[str, Any], name: str) -> None:
    del contents["model"][name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["cfg"]["model"].update(layer_type="conformer"), "conformer layers"),
        (lambda c: c["cfg"]["model"].update(_name="data2vec_audio"), "model 'data2vec_audio'"),
        (lambda c: c["cfg"]["model"].update(encoder_layers=200), "the config says 200 layers"),
        (lambda c: without(c, "encoder.layers.0.fc1.bias"), "missing encoder.layers.0.fc1.bias"),
        (lambda c: c["model"].update({"encoder.layers.0.fc1.bias": np.zeros(3, np.float32)}), "fc1.bias has shape"),
        (lambda c: c["model"].update(extra=np.zeros(3, np.float32)), "unknown extra"),
    ],
)
def test_a_checkpoint_that_does_not_convert_says_why(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    contents = checkpoint_contents(TINY, seed="test")
    change(contents)
    write_torch_file(contents, tmp_path / "x.pt")
    found = inspect(tmp_path / "x.pt")
    assert (found.kind, found.facts["converts"], found.next) == ("fairseq checkpoint", False, None)
    assert message in "\n".join(found.problems)
    result = command(tmp_path / "x.pt")
    assert result.exit_code == 2
    assert "converts" in result.output
    assert message in result.output.splitlines()[-1]


# --- TorchAudio weights and config


@pytest.mark.parametrize("dialect", ["weight_g", "parametrizations"])
def test_torchaudio_weights_in_either_dialect(dialect: str, bundle: Path, tmp_path: Path) -> None:
    state_dict = torch.load(bundle / "tiny.torchaudio.pt")
    if dialect == "parametrizations":
        for index, name in enumerate(("weight_g", "weight_v")):
            stem = "encoder.transformer.pos_conv_embed.conv."
            state_dict[f"{stem}parametrizations.weight.original{index}"] = state_dict.pop(stem + name)
    torch.save(state_dict, tmp_path / "tiny.torchaudio.pt")
    alone = inspect(tmp_path / "tiny.torchaudio.pt")
    assert_usable(alone, "TorchAudio state dict")
    assert alone.facts["weight_norm"].startswith(dialect)
    assert (alone.facts["layers"], alone.facts["convolutions"]) == (2, 7)
    assert alone.next == (
        f"aves-convert torchaudio2onnx {tmp_path / 'tiny.torchaudio.pt'} --config MODEL_CONFIG.json --out tiny.onnx"
    )
    config = tmp_path / "tiny.torchaudio.model_config.json"
    config.write_text((bundle / config.name).read_text())
    with_config = inspect(tmp_path / "tiny.torchaudio.pt")
    assert_usable(with_config, "TorchAudio state dict")
    assert with_config.facts["fits_its_config"] is True
    assert with_config.next is not None
    assert f"--config {config} " in with_config.next


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("encoder_ff_interm_features", 47, "not the weights of tiny.torchaudio.model_config.json: encoder.transformer"),
        (
            "encoder_num_layers",
            1000,
            "not the weights of tiny.torchaudio.model_config.json: missing encoder.transformer.layers.2",
        ),
        ("encoder_num_layers", 2**31 - 1, "encoder_num_layers is 2147483647, expected a whole number from 1 to 1000"),
    ],
)
def test_weights_beside_the_config_of_another_model(
    entry: str, value: int, message: str, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny.torchaudio.pt").write_bytes((bundle / "tiny.torchaudio.pt").read_bytes())
    config = json.loads((bundle / "tiny.torchaudio.model_config.json").read_text())
    (tmp_path / "tiny.torchaudio.model_config.json").write_text(json.dumps({**config, entry: value}))
    assert message in "\n".join(inspect(tmp_path / "tiny.torchaudio.pt").problems)


def test_weights_with_something_else_among_them(bundle: Path, tmp_path: Path) -> None:
    for name, value in (("epoch", 3), (5, torch.ones(1))):
        torch.save({**torch.load(bundle / "tiny.torchaudio.pt"), name: value}, tmp_path / "x.pt")
        assert f"something else than named tensors: {name!r}" in "\n".join(inspect(tmp_path / "x.pt").problems)


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


# --- ONNX


def test_an_onnx_graph(bundle: Path) -> None:
    found = inspect(bundle / "tiny.onnx")
    assert_usable(found, "ONNX graph")
    model = onnx.load(bundle / "tiny.onnx")
    assert found.facts["opset"] == {"ai.onnx": 17}
    assert found.facts["inputs"] == {"waveform": "float [batch, samples]"}
    assert found.facts["outputs"] == {"embeddings": "float [batch, frames, 24]"}
    assert sum(found.facts["operators"].values()) == len(model.graph.node)
    assert found.facts["metadata"]["sample_rate"] == "16000"
    floats = [onnx.numpy_helper.to_array(t).size for t in model.graph.initializer if t.data_type == 1]
    doubles = [onnx.numpy_helper.to_array(t).size for t in model.graph.initializer if t.data_type == 11]
    assert found.facts["parameters"] == sum(floats) + sum(doubles)
    weights, config = bundle / "tiny.torchaudio.pt", bundle / "tiny.torchaudio.model_config.json"
    assert found.next == (
        f"aves-verify --torchaudio {weights} --config {config} --onnx {bundle / 'tiny.onnx'} --backends torchaudio,onnx"
    )


def saved(path: Path, **inputs: list[int | str | None]) -> Path:
    values = [onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in inputs.items()]
    output = onnx.helper.make_tensor_value_info("y", 1, None)
    node = onnx.helper.make_node("Add", [values[0].name, "w"], ["y"])
    weight = onnx.numpy_helper.from_array(torch.ones(300).numpy(), "w")
    graph = onnx.helper.make_graph([node], "g", values, [output], [weight])
    onnx.save(onnx.helper.make_model(graph), path)
    return path


def test_an_encoder_from_elsewhere(tmp_path: Path) -> None:
    found = inspect(saved(tmp_path / "x.onnx", input_values=["batch", None]))
    assert_usable(found, "ONNX graph")
    assert found.facts["inputs"] == {"input_values": "float [batch, ?]"}
    assert found.next == f"aves-verify --fairseq CKPT --onnx {tmp_path / 'x.onnx'} --backends fairseq,onnx"


@pytest.mark.parametrize("inputs", [{"image": [1, 3, 8, 8]}, {"a": [1, 8], "b": [1, 8]}])
def test_a_graph_of_another_kind(inputs: dict[str, Any], tmp_path: Path) -> None:
    found = inspect(saved(tmp_path / "x.onnx", **inputs))
    assert "an ONNX graph of another kind: inputs are" in "\n".join(found.problems)
    assert found.next is None


def test_weights_outside_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.onnx", x=["b", 300])
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="x.data", size_threshold=0)
    found = inspect(path)
    assert_usable(found, "ONNX graph")
    assert (found.facts["weights_outside"], found.facts["parameters"]) == (["x.data"], 300)
    (tmp_path / "x.data").unlink()
    assert "its weights are in x.data, which is missing" in "\n".join(inspect(path).problems)


def test_an_onnx_file_cut_anywhere_is_told_as_such(tmp_path: Path) -> None:
    whole = saved(tmp_path / "x.onnx", x=["b", 300]).read_bytes()
    for length in range(3, len(whole) - 10, 7):
        (tmp_path / "cut.onnx").write_bytes(whole[:length])
        problem = "\n".join(inspect(tmp_path / "cut.onnx").problems)
        assert "damaged or truncated ONNX file" in problem, (length, problem)


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_onnx_file_never_breaks_the_telling(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    content = bytearray(saved(folder / "x.onnx", x=["b", 300]).read_bytes())
    for at in data.draw(st.lists(st.integers(2, len(content) - 1), min_size=1, max_size=6)):
        content[at] = data.draw(st.integers(0, 255))
    (folder / "x.onnx").write_bytes(content)
    found = inspect(folder / "x.onnx")
    found.to_text()
    json.loads(found.to_json())


def test_more_fields_than_any_graph_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aves_convert.inspection.onnx_graphs.Fields", functools.partial(Fields, left=10))
    path = saved(tmp_path / "x.onnx", x=["b", 300])
    assert "more fields than any graph has" in "\n".join(inspect(path).problems)


def test_text_from_a_file_cannot_steer_the_terminal(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.onnx", x=["b", 300])
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"name": "\x1b]0;owned\x07\x1b[2J"})
    onnx.save(model, path)
    result = command(path)
    assert result.exit_code == 0
    assert "owned" in result.output
    assert "\x1b" not in result.output


def test_a_path_cannot_steer_the_terminal(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "\x1b[2J\n.pt"
    path.write_bytes((bundle.parent / "tiny.pt").read_bytes())
    shown = inspect(path).to_text()
    assert shown.startswith(str(tmp_path))
    assert all(line.isprintable() for line in shown.splitlines())


# --- bundles


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


# --- what is nothing of ours


@pytest.mark.parametrize("file", HOSTILE_FILES, ids=lambda file: file.name)
def test_hostile_files_end_in_one_line(file: HostileFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pt").write_bytes(file.make())
    result = command(tmp_path / "x.pt", "--json")
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    problems = result.stderr.splitlines()
    assert all(line.startswith(f"Error: {tmp_path / 'x.pt'}") for line in problems)
    assert len(problems) == (2 if file.name == "foreign_json" else 1)
    assert json.loads(result.stdout)["usable"] is False
    assert not (tmp_path / "EXECUTED").exists()


def test_what_a_pickle_wants_to_run_is_shown(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(pickled([reduced(SYSTEM, COMMAND), {"a": 1}]))
    found = inspect(tmp_path / "x.pt")
    assert found.kind == "pickle that wants to run something"
    assert found.facts == {"wants_to_run": ["posix.system('touch EXECUTED')"]}
    result = command(tmp_path / "x.pt")
    assert result.exit_code == 2
    assert "wants to run" in result.output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html><html><body>Not found", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a git-lfs pointer"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00{}" + bytes(16), "a safetensors file"),
        (b"PK\x03\x04" + bytes(200), "zip"),
        (b"plain text\n", "a text file"),
    ],
)
def test_other_files(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    found = inspect(tmp_path / "x.pt")
    assert (found.kind, found.next) == ("unusable", None)
    assert message in "\n".join(found.problems)
    result = command(tmp_path / "x.pt")
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_truncated_checkpoint(tmp_path: Path) -> None:
    path = written(tmp_path / "x.pt", {})
    path.write_bytes(path.read_bytes()[:-5000])
    assert "truncated" in "\n".join(inspect(path).problems)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        inspect(tmp_path / "x.pt")
    assert command(tmp_path / "x.pt").exit_code == 2


# --- the command


def test_for_people_every_fact_is_on_its_line(bundle: Path) -> None:
    result = command(bundle.parent / "tiny.pt")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == f"{bundle.parent / 'tiny.pt'}: fairseq checkpoint"
    assert "  dimension           24" in lines
    assert lines[-1] == f"next: aves-convert bundle {bundle.parent / 'tiny.pt'} --out ports"


def test_for_programs_there_is_json(bundle: Path) -> None:
    result = command(bundle.parent / "tiny.pt", "--json")
    found = json.loads(result.output)
    assert list(found) == ["path", "kind", "usable", "facts", "next", "problem", "problems"]
    assert (found["usable"], found["problem"], found["facts"]["dimension"]) == (True, None, 24)


@pytest.mark.parametrize("name", ["a name  with spaces.pt", "-dash.pt", "$(touch EXECUTED).pt", "\u0444\u00e9.pt"])
def test_the_next_command_runs(name: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    path.write_bytes((bundle.parent / "tiny.pt").read_bytes())
    found = inspect(path)
    assert found.next is not None
    assert found.to_text().splitlines()[-1] == f"next: {found.next}"
    words = shlex.split(found.next)
    assert words[0] == "aves-convert"
    result = CliRunner().invoke(main, words[1:])
    assert result.exit_code == 0, result.output
    assert inspect(tmp_path / "ports").kind == "bundle"


def test_files_are_told_without_torch(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "page.pt").write_bytes(b"<html>")
    endings = ("onnx", "torchaudio.pt", "torchaudio.model_config.json")
    paths = [tmp_path / "page.pt", bundle, *(bundle / f"tiny.{ending}" for ending in endings)]
    program = (
        "import sys; from pathlib import Path; from aves_convert.inspection.identify import inspect; "
        "[inspect(Path(p)).to_text() for p in sys.argv[1:]]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program, *map(str, paths)], check=False).returncode == 0
