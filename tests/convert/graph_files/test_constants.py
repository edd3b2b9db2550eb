"""Finding constants takes time and memory that the file's size bounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from aves_artifacts.base.errors import InputError
from aves_convert.graph_files import constants
from aves_convert.graph_files.constants import graph_constants

_OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]


def _model(nodes: list[onnx.NodeProto], *tensors: TensorProto) -> onnx.ModelProto:
    values = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in ("x", "y"))
    inputs, outputs = ([value] for value in values)
    return helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, list(tensors)), opset_imports=_OPSETS)


def test_functions_that_call_functions(tmp_path: Path) -> None:
    model = _model([helper.make_node("f29", ["x"], ["y"], domain="mine")])
    for level in range(30):
        called = ("Identity", "") if level == 0 else (f"f{level - 1}", "mine")
        nodes = [helper.make_node(called[0], [a], [b], domain=called[1]) for a, b in (("a", "m"), ("m", "b"))]
        model.functions.append(helper.make_function("mine", f"f{level}", ["a"], ["b"], nodes, _OPSETS))
    onnx.save(model, tmp_path / "x.onnx")
    with pytest.raises(InputError, match=r"its functions make 2\.15e\+09 nodes when they are written out"):
        list(graph_constants(tmp_path / "x.onnx"))


def test_functions_that_call_themselves(tmp_path: Path) -> None:
    model = _model([helper.make_node("f", ["x"], ["y"], domain="mine")])
    node = helper.make_node("f", ["a"], ["b"], domain="mine")
    model.functions.append(helper.make_function("mine", "f", ["a"], ["b"], [node], _OPSETS))
    onnx.save(model, tmp_path / "x.onnx")
    with pytest.raises(InputError, match="call each other without end"):
        list(graph_constants(tmp_path / "x.onnx"))


def test_a_constant_that_is_moved_in_many_ways_is_followed_once(tmp_path: Path) -> None:
    """Eight times in a row ten readers each: a hundred million paths."""
    nodes = []
    for level in range(8):
        names = [f"v{level + 1}"] + [f"v{level + 1}.{index}" for index in range(9)]
        nodes += [helper.make_node("Identity", [f"v{level}"], [name]) for name in names]
        nodes.append(helper.make_node("Sum", names, [f"s{level}"]))
        nodes += [helper.make_node("Identity", [f"v{level + 1}"], [f"w{level}.{index}"]) for index in range(9)]
    nodes.append(helper.make_node("Sum", ["x", "v8", *(f"s{level}" for level in range(8))], ["y"]))
    onnx.save(_model(nodes, onnx.numpy_helper.from_array(np.ones(3, np.float32), "v0")), tmp_path / "x.onnx")
    (constant,) = graph_constants(tmp_path / "x.onnx")
    assert constant.readers > 1


def test_one_file_read_many_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "_MOST_BYTES", 100)
    (tmp_path / "x.data").write_bytes(bytes(4000))
    tensors = []
    for index in range(20):
        tensor = TensorProto(name=f"t{index}", data_type=TensorProto.FLOAT, dims=[1000], data_location=1)
        for key, value in (("location", "x.data"), ("offset", "0"), ("length", "4000")):
            tensor.external_data.add(key=key, value=value)
        tensors.append(tensor)
    onnx.save(_model([helper.make_node("Identity", ["x"], ["y"])], *tensors), tmp_path / "x.onnx")
    with pytest.raises(InputError, match="many times more bytes than its files have"):
        list(graph_constants(tmp_path / "x.onnx"))


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("in_node", [True, False])
def test_a_sparse_tensor_is_what_it_stands_for(linear: bool, in_node: bool, tmp_path: Path) -> None:
    places = np.array([1, 5, 6]) if linear else np.array([[0, 1], [1, 1], [1, 2]])
    values = numpy_helper.from_array(np.array([3, 4, 5], np.float32), "w")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(places.astype(np.int64)), [2, 4])
    made = [helper.make_node("Constant", [], ["w"], sparse_value=sparse)] if in_node else []
    model = _model([*made, helper.make_node("MatMul", ["w", "x"], ["y"])])
    if not in_node:
        model.graph.sparse_initializer.append(sparse)
    onnx.save(model, tmp_path / "x.onnx")
    (found,) = graph_constants(tmp_path / "x.onnx")
    assert (found.name, found.readers) == ("w", 1)
    assert found.values.tolist() == [[0, 3, 0, 0], [0, 4, 5, 0]]


@pytest.mark.parametrize(
    ("places", "shape", "told"),
    [
        ([0, 8, 1], [2, 4], "values that are not in it"),
        ([0, 1], [2, 4], "values that are not in it"),
        ([[0, 1], [1, 1], [2, 2]], [2, 4], "invalid entry"),
        ([0, 1, 2], [1 << 20, 1 << 12], "many times more bytes"),
    ],
)
def test_a_sparse_tensor_that_is_none_is_told(places: object, shape: list[int], told: str, tmp_path: Path) -> None:
    values = numpy_helper.from_array(np.array([3, 4, 5], np.float32), "w")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.array(places, np.int64)), shape)
    model = _model([helper.make_node("MatMul", ["w", "x"], ["y"])])
    model.graph.sparse_initializer.append(sparse)
    onnx.save(model, tmp_path / "x.onnx")
    with pytest.raises(InputError, match=told):
        list(graph_constants(tmp_path / "x.onnx"))
