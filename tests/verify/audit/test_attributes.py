"""What a graph says of itself, against what the original has."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, helper
from tests.support.tiny_encoders import TINY

from aves_verify.audit.attributes import RANDOM, attribute_problems, same_epsilon

node = helper.make_node
X = np.zeros((2, 7, 24), np.float32)


def problems(*nodes: NodeProto, **values: Any) -> tuple[str, ...]:
    given = {name: np.asarray(value) for name, value in values.items()}
    return attribute_problems(nodes, TINY, {"x": X, **given}.get, "x")


@pytest.mark.parametrize("op", ["LayerNormalization", "InstanceNormalization", "GroupNormalization"])
@pytest.mark.parametrize("epsilon", [1e-12, 1e-6, 1e-3])
def test_another_epsilon_is_told_with_both_values(op: str, epsilon: float) -> None:
    (found,) = problems(node(op, ["x", "w", "b"], ["y"], name="the norm", epsilon=epsilon))
    assert found == f"{op} has epsilon {epsilon:.6g}, the original has 1e-05 (the norm)"
    assert problems(node(op, ["x", "w", "b"], ["y"], epsilon=1e-5)) == ()


def test_an_epsilon_that_is_not_written_is_the_operator_s_own() -> None:
    assert problems(node("LayerNormalization", ["x", "w", "b"], ["y"])) == ()
    (found,) = problems(node("SkipLayerNormalization", ["x", "x", "w"], ["y"], domain="com.microsoft"))
    assert "epsilon 1e-12" in found


def test_nodes_alike_are_told_once() -> None:
    nodes = [node("LayerNormalization", ["x", "w", "b"], [f"y{i}"], name=f"norm {i}", epsilon=1e-6) for i in range(5)]
    (found,) = problems(*nodes)
    assert found.endswith("(norm 0, norm 1 and 3 more)")


@pytest.mark.parametrize(
    ("root", "epsilon", "told"), [("Sqrt", 1e-5, False), ("Sqrt", 1e-6, True), ("Pow", 1e-12, True)]
)
def test_a_norm_in_single_operators_is_read(root: str, epsilon: float, told: bool) -> None:
    nodes = [
        node("ReduceMean", ["x"], ["variance"]),
        node("Cast", ["e"], ["epsilon"], to=1),
        node("Add", ["epsilon", "variance"], ["floored"]),
        node(root, ["floored", *(["half"] if root == "Pow" else [])], ["deviation"], name="root"),
    ]
    found = problems(*nodes, e=epsilon, epsilon=np.float32(epsilon), half=np.float32(-0.5), variance=X[..., :1])
    assert bool(found) == told
    if told:
        assert found == (f"a norm in single operators adds epsilon {epsilon:.6g}, the original has 1e-05 (root)",)


EPSILON = np.full((2, 7, 1), 1e-5, np.float32)
SPELLED: dict[str, tuple[list[NodeProto], float | None]] = {
    "added last": ([node("Add", ["v", "e"], ["w"])], None),
    "taken from it": ([node("Sub", ["v", "minus"], ["w"])], None),
    "summed": ([node("Sum", ["v", "e"], ["w"])], None),
    "one for each": ([node("Add", ["v", "each"], ["w"])], None),
    "of the value's shape": (
        [node("Shape", ["v"], ["s"]), node("Expand", ["e", "s"], ["each"]), node("Add", ["v", "each"], ["w"])],
        None,
    ),
    "behind a floor": ([node("Max", ["v", "zero"], ["u"]), node("Add", ["u", "e"], ["w"])], None),
    "before a cast": ([node("Add", ["v", "e"], ["u"]), node("Cast", ["u"], ["w"], to=1)], None),
    "none": ([node("Identity", ["v"], ["w"])], 0.0),
    "a floor in its place": ([node("Max", ["v", "e"], ["w"])], 0.0),
    "a limit in its place": ([node("Clip", ["v", "e"], ["w"])], 0.0),
    "another for each": ([node("Add", ["v", "other"], ["w"])], 1e-6),
    "a share of a sum": ([node("Mul", ["v", "share"], ["w"])], 0.0),
    "of a scaled value": ([node("Add", ["v", "other"], ["u"]), node("Div", ["u", "share"], ["w"])], None),
    "a channel's own": ([node("Add", ["v", "many"], ["w"])], None),
}


@pytest.mark.parametrize("how", SPELLED)
def test_an_epsilon_is_found_however_it_is_added(how: str) -> None:
    steps, told = SPELLED[how]
    nodes = [node("ReduceMean", ["x"], ["v"]), *steps, node("Sqrt", ["w"], ["deviation"], name="root")]
    values = {"e": np.float32(1e-5), "minus": np.float32(-1e-5), "zero": np.float32(0), "each": EPSILON}
    found = problems(*nodes, **values, other=EPSILON / 10, share=np.float32(0.1), many=np.arange(7, dtype=np.float32))
    expected = (
        f"a norm in single operators adds epsilon {told:.6g}, the original has 1e-05 (root)" if told is not None else ""
    )
    assert [each for each in found if "single operators" in each] == ([expected] if expected else [])


def test_a_norm_that_has_no_epsilon_to_set_has_the_standard_s() -> None:
    (found,) = problems(node("MeanVarianceNormalization", ["x"], ["y"], axes=[-1], name="n"))
    assert found == "MeanVarianceNormalization has epsilon 1e-09, the original has 1e-05 (n)"


@pytest.mark.parametrize(("kind", "told"), [(1, 0), (11, 0), (10, 1), (16, 1)])
def test_a_norm_in_fewer_bits_is_told(kind: int, told: int) -> None:
    found = problems(node("LayerNormalization", ["x", "w", "b"], ["y"], stash_type=kind))
    assert len(found) == told
    assert all(f"stash_type {kind}, fewer bits than float32 has" in each for each in found)


def test_an_approximate_gelu_is_told() -> None:
    assert problems(node("Gelu", ["x"], ["y"]), node("Gelu", ["x"], ["z"], approximate="none")) == ()
    assert "approximate tanh" in problems(node("Gelu", ["x"], ["y"], approximate="tanh"))[0]
    assert "approximates GELU" in problems(node("FastGelu", ["x"], ["y"], domain="com.microsoft"))[0]


def test_other_roots_are_no_norms() -> None:
    nodes = [
        node("Add", ["a", "b"], ["c"]),  # of constants
        node("Sqrt", ["c"], ["d"]),
        node("Add", ["x", "x"], ["e"]),
        node("Sqrt", ["e"], ["f"]),
        node("Add", ["x", "b"], ["g"]),
        node("Pow", ["g", "two"], ["h"]),
        node("Sqrt", ["x"], ["i"]),
    ]
    assert problems(*nodes, a=0.1, b=0.2, c=0.3, two=2.0) == ()


def test_epsilons_are_compared_as_float32_has_them() -> None:
    assert same_epsilon(float(np.float32(1e-5)))
    assert not same_epsilon(1.00001e-5)


@pytest.mark.parametrize("op", sorted(RANDOM))
def test_random_numbers_are_told(op: str) -> None:
    (found,) = problems(node(op, ["x"], ["y"], name="here"))
    assert found == f"{op} draws random numbers: the graph is no function of its input (here)"


def test_training_mode_is_told() -> None:
    assert problems(node("Dropout", ["x"], ["y"])) == ()
    assert problems(node("Dropout", ["x", "r", "t"], ["y"]), t=False) == ()
    assert "training_mode 1" in problems(node("Dropout", ["x", "r", "t"], ["y"]), t=True)[0]
    assert "training_mode 1" in problems(node("Dropout", ["x", "r", "computed"], ["y"]))[0]
    assert "training_mode 1" in problems(node("Dropout", ["x"], ["y"], is_test=0))[0]
    assert problems(node("Dropout", ["x"], ["y"], is_test=1)) == ()
    norm = ("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"])
    assert "training_mode 1" in problems(node(*norm, training_mode=1))[0]
    assert problems(node(*norm)) == ()


def test_nodes_within_a_branch_are_read() -> None:
    branch = helper.make_graph([node("RandomNormal", [], ["r"], shape=[1])], "b", [], [])
    assert problems(node("If", ["c"], ["y"], then_branch=branch, else_branch=branch))


@pytest.mark.parametrize("op", ["Softmax", "LayerNormalization"])
@pytest.mark.parametrize(("axis", "told"), [(-1, 0), (2, 0), (1, 1)])
def test_another_axis_is_told(op: str, axis: int, told: int) -> None:
    found = problems(node(op, ["x"], ["y"], axis=axis, name="n"))
    assert len(found) == told
    assert all(f"has axis {axis} of 3 axes" in problem for problem in found)


def test_an_axis_of_a_value_that_is_right_is_the_graph_s_own_order() -> None:
    turned = [node("Softmax", ["x"], ["y"], axis=1), node("LayerNormalization", ["x", "w"], ["z"], epsilon=1e-6)]
    (found,) = attribute_problems(turned, TINY, {"x": X}.get, "x", frozenset("yz"))
    assert "epsilon" in found


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"num_heads": 4}, ""),
        ({"num_heads": 2}, "MultiHeadAttention has num_heads 2, the original has 4 (n)"),
        ({"num_heads": 4, "scale": 6**-0.5}, ""),
        ({"num_heads": 4, "scale": 0.0}, ""),
        ({"num_heads": 4, "scale": 0.40825}, "MultiHeadAttention has scale 0.40825, the original has 0.4082483 (n)"),
        ({"num_heads": 4, "softcap": 0.0, "is_causal": 0, "softmax_precision": 1}, ""),
        ({"num_heads": 4, "softcap": 1e4}, "MultiHeadAttention has softcap 10000, the original has none (n)"),
        ({"num_heads": 4, "is_causal": 1}, "MultiHeadAttention has is_causal 1, the original has none (n)"),
        (
            {"num_heads": 4, "softmax_precision": 10},
            "MultiHeadAttention has softmax_precision 10, fewer bits than float32 has (n)",
        ),
    ],
)
def test_heads_and_scale_of_attention_are_read(attributes: dict[str, Any], told: str) -> None:
    found = problems(node("MultiHeadAttention", ["x", "x", "x"], ["y"], name="n", **attributes))
    assert found == ((told,) if told else ())


KERNELS: Sequence[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((16, 1, 10), {"strides": [5]}),
    ((16, 1, 1, 10), {"strides": [1, 5]}),
    ((16, 16, 3), {"strides": [2], "dilations": [1], "pads": [0, 0], "group": 1}),
    ((24, 6, 16), {"group": 4, "pads": [8, 8]}),
    ((24, 6, 1, 16), {"group": 4}),
]


@pytest.mark.parametrize(("shape", "attributes"), KERNELS)
def test_convolutions_as_the_original_has_them_are_right(shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
    assert problems(node("Conv", ["x", "w"], ["y"], **attributes), w=np.zeros(shape)) == ()


@pytest.mark.parametrize("change", [{"strides": [3]}, {"dilations": [2]}, {"pads": [1, 1]}])
def test_another_convolution_is_told(change: dict[str, Any]) -> None:
    attributes = {"strides": [2], **change}
    (found,) = problems(node("Conv", ["x", "w"], ["y"], name="n", **attributes), w=np.zeros((16, 16, 3)))
    (name,) = change
    assert f"{name} {change[name]}" in found
    assert "the original's of this kernel has strides 2, dilations 1, group 1, pads 0 (n)" in found


def test_convolutions_of_other_kernels_are_the_graph_s_own() -> None:
    assert problems(node("Conv", ["x", "w"], ["y"], strides=[7]), w=np.zeros((5, 5, 5))) == ()
    assert problems(node("Conv", ["x", "unknown"], ["y"], strides=[7])) == ()


def test_what_depends_on_how_large_a_value_is_is_told() -> None:
    nodes = [
        node("ReduceMax", ["x"], ["peak"], keepdims=0),
        node("Less", ["limit", "peak"], ["loud"], name="n"),
        node("Where", ["loud", "x", "x"], ["y"]),
    ]
    (found,) = problems(*nodes, limit=np.float32(1000), peak=np.float32(0.5))
    assert found == "Less asks whether values are above 1000, the original does not; seen were 0.5 to 0.5 (n)"


def test_what_depends_on_the_length_is_the_graph_s_own() -> None:
    nodes = [
        node("Shape", ["x"], ["sizes"]),
        node("Cast", ["sizes"], ["lengths"], to=1),
        node("Greater", ["lengths", "limit"], ["long"]),
        node("Where", ["long", "x", "x"], ["y"]),
    ]
    assert problems(*nodes, limit=np.float32(1000), lengths=np.float32([2, 7])) == ()


def test_what_a_branch_reads_is_what_its_node_computes_from() -> None:
    branch = helper.make_graph([node("Identity", ["x"], ["inside"])], "b", [], [])
    nodes = [
        node("If", ["yes"], ["outside"], then_branch=branch, else_branch=branch),
        node("Clip", ["outside", "", "most"], ["y"], name="n"),
    ]
    (found,) = problems(*nodes, most=np.float32(9))
    assert "limits values to at most 9" in found
