"""Models written tensor by tensor are the bytes that protobuf writes, and load everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from tests.support.tensors import arrays
from tests.support.tiny_encoders import TINY, clip, run, weights

from aves_artifacts.base.errors import InputError
from aves_convert.graph import file_writer
from aves_convert.graph.build import write_graph
from aves_convert.graph.encoder import encoder_graph
from aves_convert.graph.file_writer import save_graph
from aves_convert.graph.options import OnnxOptions

_TINY_MODEL = encoder_graph(TINY, weights(TINY), metadata={"hop": "40"})


def _everything() -> onnx.ModelProto:
    """Fields before, between and after those that we set ourselves, and values in every place of a tensor."""
    tensors = [
        helper.make_tensor("float_data", TensorProto.FLOAT, [2], [1.0, 2.0]),
        helper.make_tensor("int64_data", TensorProto.INT64, [], [7]),
        helper.make_tensor("text", TensorProto.STRING, [1], [b"a"]),
        helper.make_tensor("half", TensorProto.FLOAT16, [3], np.arange(3, dtype=np.float16).tobytes(), raw=True),
        helper.make_tensor("empty", TensorProto.FLOAT, [0], b"", raw=True),
        helper.make_tensor("long", TensorProto.UINT8, [300], bytes(300), raw=True),  # a length of two bytes
    ]
    tensors[3].doc_string = "after the data"
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    node = helper.make_node("Add", ["x", "float_data"], ["y"], name="/Add", doc_string="a node")
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    graph = helper.make_graph([node], "g", [value], [output], tensors, doc_string="a graph", value_info=[output])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    function = helper.make_function("local", "f", ["a"], ["b"], [helper.make_node("Abs", ["a"], ["b"])], imports[:1])
    model = helper.make_model(graph, opset_imports=imports, functions=[function], producer_version="1", domain="org")
    model.model_version = 3
    helper.set_model_props(model, {"b": "2", "a": "1"})
    return model


@pytest.mark.parametrize("name", ["ours", "torch's", "every field", "nothing"])
def test_the_bytes_are_protobufs_own(name: str, tmp_path: Path) -> None:
    model = {
        "ours": lambda: _TINY_MODEL,
        "torch's": lambda: write_graph(TINY, arrays(weights(TINY)), OnnxOptions(exporter="torch"), {}),
        "every field": _everything,
        "nothing": lambda: onnx.ModelProto(graph=onnx.GraphProto()),
    }[name]()
    save_graph(model, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == model.SerializeToString(deterministic=True)


def test_saved_as_one_file(tmp_path: Path) -> None:
    path = tmp_path / "out" / "tiny.onnx"
    save_graph(_TINY_MODEL, path)
    assert [entry.name for entry in path.parent.iterdir()] == ["tiny.onnx"]
    assert onnx.load(path) == _TINY_MODEL


def test_past_the_limit_the_weights_go_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_writer, "_LARGEST_FILE", 10_000)
    model = encoder_graph(TINY, weights(TINY), metadata={"hop": "40"})
    path = tmp_path / "tiny.onnx"
    save_graph(model, path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["tiny.onnx", "tiny.onnx.data"]
    onnx.checker.check_model(path, full_check=True)
    loaded = onnx.load(path)
    for tensor in loaded.graph.initializer:  # onnx.load leaves the references' marks
        tensor.ClearField("data_location")
        del tensor.external_data[:]
    assert loaded == model
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    waveform = clip(2000)
    np.testing.assert_array_equal(
        session.run(None, {"waveform": waveform.numpy()})[0], run(model, waveform)["embeddings"]
    )


def test_past_the_limit_every_value_is_still_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_writer, "_LARGEST_FILE", 100)
    model = _everything()
    model.graph.initializer.append(helper.make_tensor("large", TensorProto.FLOAT, [400], range(400)))
    model.graph.initializer.append(helper.make_tensor("four bits", TensorProto.INT4, [4000], [1] * 4000))
    save_graph(model, tmp_path / "x.onnx")
    loaded = onnx.load(tmp_path / "x.onnx")
    for found, expected in zip(loaded.graph.initializer, model.graph.initializer, strict=True):
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(found), onnx.numpy_helper.to_array(expected))


def test_an_unwritable_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        save_graph(_TINY_MODEL, tmp_path / "file" / "tiny.onnx")
