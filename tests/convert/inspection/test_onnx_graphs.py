"""What is told of ONNX graphs, damaged ones included."""

import functools
import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.inspected import assert_usable, command

from aves_artifacts.bundle.manifest import REDUCED, ending
from aves_artifacts.files.protobuf_fields import Fields
from aves_convert.conversion.convert import torchaudio_to_onnx
from aves_convert.graph.options import OnnxOptions
from aves_convert.inspection.identify import inspect


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


@pytest.mark.parametrize("port", REDUCED)
def test_a_smaller_graph_is_verified_as_one(port: str, bundle: Path, tmp_path: Path) -> None:
    weights = next(bundle.glob("*.torchaudio.pt"))
    config = weights.with_name("tiny.torchaudio.model_config.json")
    options = {"onnx.int8": {"precision": "int8"}, "onnx.float16": {"precision": "float16"}}
    path = tmp_path / f"tiny{ending(REDUCED[port])}"
    torchaudio_to_onnx(weights, config, path, OnnxOptions(**options.get(port, {"weights": "float16"})))
    found = inspect(path)
    assert_usable(found, f"ONNX graph, smaller: {port}")
    assert found.next == f"aves-verify --fairseq CKPT --reduced {path} --backends fairseq,{port}"
    for file in (weights, config):
        shutil.copy(file, tmp_path)
    beside = f"--torchaudio {tmp_path / weights.name} --config {tmp_path / config.name}"
    assert inspect(path).next == f"aves-verify {beside} --reduced {path} --backends torchaudio,{port}"


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


def test_an_operator_whose_name_is_no_text(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.onnx", x=["b", 300])
    path.write_bytes(path.read_bytes().replace(b"Add", b"A\xffd"))
    assert inspect(path).facts["operators"] == {"A\ufffdd": 1}


@pytest.mark.slow
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


def test_half_a_million_inputs_are_not_listed(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.onnx", x=["b", 300])
    model = onnx.load(path)
    model.graph.input.extend(onnx.ValueInfoProto() for _ in range(2000))
    onnx.save(model, path)
    (problem,) = inspect(path).problems
    assert problem.endswith("it has 2,001 inputs")


def test_weights_in_a_file_of_an_impossible_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.onnx", x=["b", 300])
    model = onnx.load(path)
    tensor = model.graph.initializer.add(name="w", data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="f" * 100_000)
    onnx.save(model, path)
    (problem,) = inspect(path).problems
    assert "missing beside it" in problem
    assert len(problem) < 1000
