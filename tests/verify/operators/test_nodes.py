"""Each node's own error, from the inputs that the runtime had."""

from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto
from tests.verify.audit.graphs import model, node, saved

from aves_verify.audit.graph_values import traced
from aves_verify.operators.nodes import LIMITS, NodeErrors, node_errors

X = np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32)
OPSET = {"": 17}


def errors(nodes: list[NodeProto], **values: np.ndarray) -> NodeErrors:
    return node_errors(nodes, OPSET, {"x": X, **values}.get)


def test_a_node_that_is_right_has_its_rounding_alone() -> None:
    found = errors([node("Mul", ["x", "x"], ["y"])], y=X * X)
    (error,) = found.looked_at
    assert not error.departs
    assert 0 < error.units <= 1
    assert (error.value, error.operator, error.kind) == ("y", "Mul", "rounded")
    assert found.largest is error


@pytest.mark.parametrize(
    ("op", "right"),
    [("Mul", X * X), ("Erf", None), ("MatMul", X @ X.T), ("Transpose", X.T)],
)
def test_a_node_that_is_off_is_told(op: str, right: np.ndarray | None) -> None:
    import torch

    value = torch.erf(torch.tensor(X)).numpy() if right is None else right
    inputs = {"Mul": ["x", "x"], "MatMul": ["x", "turned"]}.get(op, ["x"])
    for factor, departs in ((1.0, False), (1 + 1e-4, True)):
        found = errors([node(op, inputs, ["y"])], y=(value * np.float32(factor)).astype(np.float32), turned=X.T.copy())
        assert [error.departs for error in found.looked_at] == [departs]


def test_half_precision_is_the_error_of_the_node_that_stores_it(tmp_path: Path) -> None:
    made = model(
        [
            node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
            node("Cast", ["half"], ["single"], to=TensorProto.FLOAT),
            node("Softmax", ["single"], ["y"]),
        ]
    )
    graph = traced(saved(tmp_path, made), X)
    found = node_errors(graph.nodes, graph.opset, graph.values[0].arrays.get)
    assert [(error.operator, error.departs) for error in found.looked_at] == [
        ("Cast", True),
        ("Cast", False),
        ("Softmax", False),
    ]
    assert found.looked_at[0].units > 1000


def test_half_precision_that_loses_nothing_is_none() -> None:
    exact = np.round(X)
    found = node_errors([node("Cast", ["x"], ["y"], to=10)], OPSET, {"x": exact, "y": exact.astype(np.float16)}.get)
    assert [error.departs for error in found.looked_at] == [False]


def test_nodes_of_whole_numbers_and_constants_are_left_out() -> None:
    nodes = [node("Shape", ["x"], ["s"]), node("Gather", ["s", "i"], ["n"]), node("Constant", [], ["c"], value_float=1)]
    found = errors(nodes, s=np.array([3, 40]), i=np.array(1), n=np.array(40), c=np.float32(1))
    assert found == NodeErrors((), {})
    assert found.largest is None


def test_an_operator_of_the_standard_that_is_not_in_the_table_is_looked_at() -> None:
    value = np.clip(X, -0.5, np.float32(0.7))
    nodes = [node("Clip", ["x", "low", "high"], ["y"])]
    given = {"low": np.float32(-0.5), "high": np.float32(0.7)}
    (error,) = errors(nodes, y=value, **given).looked_at
    assert not error.departs
    (error,) = errors(nodes, y=value * np.float32(1.0001), **given).looked_at
    assert error.departs


def test_what_cannot_be_looked_at_is_counted() -> None:
    nodes = [
        node("Mystery", ["x"], ["a"], domain="of.others"),
        node("Mystery", ["x"], ["b"], domain="of.others"),
        node("Cast", ["x"], ["unreadable"], to=TensorProto.BFLOAT16),
        node("Neg", ["unreadable"], ["c"]),
    ]
    found = errors(nodes, a=X, b=X, c=X)
    assert found.not_looked_at == {"Mystery": 2, "Cast": 1, "Neg": 1}
    assert found.looked_at == ()


def test_softmax_before_opset_13_is_over_all_last_axes() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    flat = np.exp(x.reshape(2, 12).astype(np.float64))
    y = (flat / flat.sum(axis=1, keepdims=True)).reshape(2, 3, 4).astype(np.float32)
    found = node_errors([node("Softmax", ["x"], ["y"])], {"": 11}, {"x": x, "y": y}.get)
    assert [error.departs for error in found.looked_at] == [False]


def test_another_shape_or_no_number_is_beyond_any_limit() -> None:
    for y in (X[:2], np.where(X > 2, np.nan, -X)):
        (error,) = errors([node("Neg", ["x"], ["y"])], y=y.astype(np.float32)).looked_at
        assert error.departs


def test_what_is_no_number_in_both_is_no_error() -> None:
    with np.errstate(invalid="ignore"):
        y = np.sqrt(X)
    (error,) = errors([node("Sqrt", ["x"], ["y"])], y=y).looked_at
    assert not error.departs


def test_the_node_nearest_to_its_limit_is_the_largest() -> None:
    nodes = [node("Erf", ["x"], ["e"]), node("Neg", ["x"], ["n"]), node("Transpose", ["x"], ["t"])]
    import torch

    found = errors(nodes, e=torch.erf(torch.tensor(X)).numpy(), n=-X * np.float32(1 + 2**-22), t=X.T)
    assert found.largest is not None
    assert found.largest.operator == "Neg"
    assert LIMITS["rounded"] == 2.0
