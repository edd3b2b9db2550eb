"""Models written tensor by tensor are the bytes that protobuf writes, and load everywhere."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from tests.support.graphs import encoder_graph
from tests.support.tensors import arrays
from tests.support.tiny_encoders import TINY, clip, run, weights

from aves_artifacts.base.errors import InputError
from aves_convert.graph.build import weighted_graph, write_graph
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph_files import writer
from aves_convert.graph_files.weighted import WeightedGraph
from aves_convert.graph_files.writer import save_graph

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


def _beside() -> dict[str, NDArray[Any]]:
    """Values of every kind and layout, some of which an array of numpy has in another order than a file."""
    rng = np.random.default_rng(0)
    return {
        "one number": np.array(2.5, np.float32),
        "a shape": np.array([0, 0, 768, -1], np.int64),
        "nothing": np.zeros((0, 3), np.float32),
        "halves": rng.normal(size=300).astype(np.float16),
        "double": rng.normal(size=(4, 5, 6)),
        "bytes": np.arange(300, dtype=np.uint8),
        "a page": rng.normal(size=4096).astype(np.float32),
        "transposed": rng.normal(size=(20, 30)).astype(np.float32).T,
        "big-endian": rng.normal(size=(20, 30)).astype(">f4"),
    }


def _without_values(arrays: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """Their names, types and shapes among initializers that have their values."""
    model = _everything()
    for name, array in arrays.items():
        kind = helper.np_dtype_to_tensor_dtype(array.dtype.newbyteorder("="))
        model.graph.initializer.add(name=name, data_type=kind, dims=array.shape, doc_string="after the data")
    model.graph.initializer.append(helper.make_tensor("last", TensorProto.FLOAT, [1], [3.0]))
    return model


@pytest.mark.parametrize("largest", [writer._LARGEST_FILE, 100])
def test_weights_beside_the_model_give_the_bytes_of_those_inside(
    largest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_LARGEST_FILE", largest)
    arrays = _beside()
    model = _without_values(arrays)
    before = model.SerializeToString(deterministic=True)
    save_graph(model, tmp_path / "beside" / "x.onnx", arrays)
    assert model.SerializeToString(deterministic=True) == before
    whole = WeightedGraph(model, arrays).proto()
    save_graph(whole, tmp_path / "inside" / "x.onnx")
    files = sorted(path.name for path in (tmp_path / "beside").iterdir())
    assert files == (["x.onnx"] if largest > 100 else ["x.onnx", "x.onnx.data"])
    for name in files:
        assert (tmp_path / "beside" / name).read_bytes() == (tmp_path / "inside" / name).read_bytes()
    loaded = {tensor.name: tensor for tensor in onnx.load(tmp_path / "beside" / "x.onnx").graph.initializer}
    for name, array in arrays.items():
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(loaded[name]), array)


@pytest.mark.parametrize("options", [{}, {"layers": "all"}, {"precision": "mixed"}, {"fixed_shape": (2, 800)}])
@pytest.mark.parametrize("largest", [writer._LARGEST_FILE, 10_000])
def test_a_written_graph_is_the_one_in_memory(
    options: dict[str, Any], largest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_LARGEST_FILE", largest)
    graph = weighted_graph(TINY, weights(TINY), OnnxOptions(**options))
    save_graph(graph.model, tmp_path / "a" / "x.onnx", graph.arrays)
    whole = write_graph(TINY, weights(TINY), OnnxOptions(**options))
    save_graph(whole, tmp_path / "b" / "x.onnx")
    written = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    if largest > 10_000:
        assert written == {"x.onnx": whole.SerializeToString(deterministic=True)}


def test_weights_are_not_copied_to_be_written(tmp_path: Path) -> None:
    """As the memory that numpy and Python take; protobuf's own cannot be seen here, and holds nothing of them."""
    array = np.zeros((64, 1 << 18), np.float32)
    model = onnx.ModelProto()
    model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=array.shape)
    tracemalloc.start()
    try:
        save_graph(model, tmp_path / "x.onnx", {"w": array})
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken < 1 << 20
    assert (tmp_path / "x.onnx").stat().st_size > array.nbytes


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("largest", [writer._LARGEST_FILE, 100])
def test_weights_that_cannot_be_written_to_their_end_leave_what_was_there(
    largest: int, old: bytes | None, tmp_path: Path
) -> None:
    """As on a full disk: the system refuses to write more than the limit."""
    path = tmp_path / "x.onnx"
    if old is not None:
        path.write_bytes(old)
    program = f"""
import resource, numpy as np, onnx
from pathlib import Path
from aves_artifacts.base.errors import InputError
from aves_convert.graph_files import writer
writer._LARGEST_FILE = {largest}
model = onnx.ModelProto()
model.graph.initializer.add(name="w", data_type=onnx.TensorProto.FLOAT, dims=[10_000])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    writer.save_graph(model, Path({str(path)!r}), {{"w": np.zeros(10_000, np.float32)}})
except InputError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "cannot write: File too large" in ran.stdout
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == ({} if old is None else {"x.onnx": old})


def test_saved_as_one_file(tmp_path: Path) -> None:
    path = tmp_path / "out" / "tiny.onnx"
    save_graph(_TINY_MODEL, path)
    assert [entry.name for entry in path.parent.iterdir()] == ["tiny.onnx"]
    assert onnx.load(path) == _TINY_MODEL


def test_past_the_limit_the_weights_go_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_LARGEST_FILE", 10_000)
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
    monkeypatch.setattr(writer, "_LARGEST_FILE", 100)
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
