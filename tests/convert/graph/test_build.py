"""What is wrong with a graph is found, without another copy of its weights."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, weights

from aves_convert.graph.build import contract_problems

OUTPUTS = ("embeddings",)
WEIGHT = "encoder.transformer.layers.0.feed_forward.output_dense.weight"


@pytest.fixture
def graph() -> onnx.ModelProto:
    return encoder_graph(TINY, weights(TINY))


def test_a_graph_of_ours_has_no_problem(graph: onnx.ModelProto) -> None:
    assert list(contract_problems(graph, OUTPUTS)) == []


def test_the_checker_gets_no_weights(graph: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes no model of 2 GB, which the weights of 48 layers are."""
    given = []
    real = onnx.checker.check_model

    def check(model: onnx.ModelProto, **options: Any) -> None:
        given.append(model)
        real(model, **options)

    monkeypatch.setattr(onnx.checker, "check_model", check)
    assert list(contract_problems(graph, OUTPUTS)) == []
    (checked,) = given
    assert max(len(tensor.raw_data) for tensor in graph.graph.initializer) > 4096
    assert max(len(tensor.raw_data) for tensor in checked.graph.initializer) <= 4096
    assert len(checked.graph.node) == len(graph.graph.node)


def weight(model: onnx.ModelProto) -> onnx.TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == WEIGHT)


def misshape(model: onnx.ModelProto) -> None:
    values = np.zeros((7, 7 * 24), np.float32)
    weight(model).CopyFrom(numpy_helper.from_array(values, WEIGHT))


def mistype(model: onnx.ModelProto) -> None:
    values = numpy_helper.to_array(weight(model)).astype(np.float64)
    weight(model).CopyFrom(numpy_helper.from_array(values, WEIGHT))


def empty(model: onnx.ModelProto) -> None:
    weight(model).raw_data = b""


def misname(model: onnx.ModelProto) -> None:
    weight(model).name = "another"


def add_unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("NoSuchOperator", ["embeddings"], ["x"]))


def add_dropout(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Dropout", ["embeddings"], ["x"]))


def fix_time(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 16_000


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (misshape, "onnx.checker: .*Gemm"),
        (mistype, "onnx.checker: .*Gemm"),
        (empty, "onnx.checker: .*output_dense"),
        (misname, "onnx.checker: .*output_dense"),
        (add_unknown_operator, "onnx.checker: .*NoSuchOperator"),
        (add_dropout, "random operators .*Dropout"),
        (fix_time, "waveform has fixed axes .16000"),
        (lambda model: model.graph.output[0].__setattr__("name", "x"), "outputs are .'x'., expected .'embeddings'"),
        (lambda model: weight(model).__setattr__("data_location", 1), "weights lie outside the file"),
    ],
    ids=["shape", "type", "empty", "name", "operator", "random", "fixed axis", "output", "external"],
)
def test_a_damaged_graph_is_told(
    graph: onnx.ModelProto, damage: Callable[[onnx.ModelProto], None], message: str
) -> None:
    damage(graph)
    problems = list(contract_problems(graph, OUTPUTS))
    assert any(re.search(message, problem) for problem in problems), problems
