"""Weights of an ONNX file are found where they lie, in every form that a file may have them in."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, weights

from aves_artifacts.base.errors import InputError
from aves_convert.graph_files.weights import graph_weights
from aves_convert.graph_files.writer import save_graph

_MODEL = encoder_graph(TINY, weights(TINY))


def _saved(path: Path, *tensors: TensorProto) -> Path:
    graph = helper.make_graph([], "g", [], [], list(tensors))
    onnx.save(helper.make_model(graph), path)
    return path


def test_every_initializer_of_a_graph_as_onnx_reads_it(tmp_path: Path) -> None:
    save_graph(_MODEL, tmp_path / "x.onnx")
    found = dict(graph_weights(tmp_path / "x.onnx"))
    assert list(found) == [tensor.name for tensor in _MODEL.graph.initializer]
    for tensor in _MODEL.graph.initializer:
        expected = numpy_helper.to_array(tensor)
        assert found[tensor.name].dtype == expected.dtype
        np.testing.assert_array_equal(found[tensor.name], expected, strict=True)


def test_they_outlive_the_reading(tmp_path: Path) -> None:
    path = _saved(tmp_path / "x.onnx", numpy_helper.from_array(np.arange(5, dtype=np.float32), "w"))
    ((_, array),) = graph_weights(path)
    path.unlink()
    assert array.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "tensor",
    [
        helper.make_tensor("float_data", TensorProto.FLOAT, [2, 1], [1.5, -2.0]),
        helper.make_tensor("int64_data", TensorProto.INT64, [], [7]),
        helper.make_tensor("empty", TensorProto.FLOAT, [0, 3], b"", raw=True),
        helper.make_tensor("four bits", TensorProto.INT4, [3], [1, -2, 3]),
        numpy_helper.from_array(np.arange(3, dtype=ml_dtypes.bfloat16), "bfloat16"),
        numpy_helper.from_array(np.array(1.0), "scalar"),
    ],
    ids=lambda tensor: tensor.name,
)
def test_values_in_other_places_than_raw_bytes(tensor: TensorProto, tmp_path: Path) -> None:
    path = _saved(tmp_path / "x.onnx", tensor)
    ((name, found),) = graph_weights(path)
    assert name == tensor.name
    np.testing.assert_array_equal(found, numpy_helper.to_array(tensor), strict=True)


def test_weights_beside_the_graph(tmp_path: Path) -> None:
    values = np.arange(400, dtype=np.float32).reshape(20, 20)
    graph = helper.make_graph([], "g", [], [], [numpy_helper.from_array(values, "w")])
    path = tmp_path / "x.onnx"
    onnx.save(helper.make_model(graph), path, save_as_external_data=True, location="x.onnx.data", size_threshold=0)
    ((_, found),) = graph_weights(path)
    np.testing.assert_array_equal(found, values)
    (tmp_path / "x.onnx.data").unlink()
    with pytest.raises(InputError, match=r"x\.onnx: its weights beside it cannot be read .*x\.onnx\.data"):
        list(graph_weights(path))


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x09\x3a\xff\xff\xff\xff\x0f"])
def test_what_is_no_onnx_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.onnx: a damaged or truncated ONNX file"):
        list(graph_weights(tmp_path / "x.onnx"))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.onnx"):
        list(graph_weights(tmp_path / "x.onnx"))


def _impossible(**fields: object) -> TensorProto:
    return TensorProto(name="w", **{"data_type": TensorProto.FLOAT, "dims": [2], "raw_data": bytes(8), **fields})


@pytest.mark.parametrize(
    ("tensor", "told"),
    [
        (_impossible(dims=[2**62] * 200_000), "w has an impossible shape"),
        (_impossible(dims=[-2]), "w has an impossible shape"),
        (_impossible(data_type=99), "w has the unknown element type 99"),
        (_impossible(dims=[3]), "damaged"),
        (_impossible(dims=[2**40]), "damaged"),
    ],
)
def test_impossible_tensors_are_told_where_they_are_wanted(tensor: TensorProto, told: str, tmp_path: Path) -> None:
    path = _saved(tmp_path / "x.onnx", tensor, numpy_helper.from_array(np.ones(2), "sound"))
    with pytest.raises(InputError, match=told):
        list(graph_weights(path))
    ((name, _),) = graph_weights(path, lambda name, _: name == "sound")
    assert name == "sound"


@pytest.mark.parametrize(
    "place",
    [
        {"location": "beside", "length": "12"},
        {"location": "beside"},
        {"location": "beside", "offset": "4", "length": "8"},
        {"location": "x" * 5000, "length": "8"},
        {"location": "../beside", "length": "8"},
        {"location": "beside", "length": "many"},
    ],
)
def test_files_beside_it_are_looked_at_before_they_are_read(place: dict[str, str], tmp_path: Path) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in place.items():
        tensor.external_data.add(key=key, value=value)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "beside").write_bytes(bytes(9))
    (tmp_path / "beside").write_bytes(bytes(8))
    with pytest.raises(InputError, match=r"x\.onnx: its weights beside it cannot be read"):
        list(graph_weights(_saved(folder / "x.onnx", tensor)))


@given(st.data())
def test_damage_is_told_or_changes_values(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    save_graph(_MODEL, folder / "x.onnx")
    content = bytearray((folder / "x.onnx").read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=6)):
        content[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.sampled_from([len(content), len(content) // 2]))
    (folder / "x.onnx").write_bytes(content[:end])
    with contextlib.suppress(InputError):  # and nothing else
        list(graph_weights(folder / "x.onnx"))


def test_a_file_that_is_cut_off_meanwhile_is_told(tmp_path: Path) -> None:
    tensors = [numpy_helper.from_array(np.arange(50_000, dtype=np.float32), name) for name in ("v", "w")]
    path = _saved(tmp_path / "x.onnx", *tensors)
    weights = graph_weights(path)
    next(weights)
    os.truncate(path, 210_000)
    with pytest.raises(InputError, match=r"x\.onnx: became shorter while it was read"):
        next(weights)
