"""Values that a graph cuts off are told, whether or not they were reached."""

from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, helper

from aves_verify.audit.saturation import choosing, saturating

node = helper.make_node
X = np.linspace(-2, 3, 60, dtype=np.float32).reshape(2, 5, 6)
F = np.float32

CUTS: dict[str, tuple[NodeProto, dict[str, Any], str]] = {
    "Clip": (node("Clip", ["x", "a", "b"], ["y"]), {"a": F(-20), "b": F(20)}, "at least -20 and at most 20"),
    "Clip above": (node("Clip", ["x", "", "b"], ["y"]), {"b": F(20)}, "at most 20"),
    "Clip from 0": (node("Clip", ["x", "a", "b"], ["y"]), {"a": F(0), "b": F(6)}, "at least 0 and at most 6"),
    "Clip of opset 6": (node("Clip", ["x"], ["y"], min=-8.0, max=8.0), {}, "at least -8 and at most 8"),
    "Min": (node("Min", ["b", "x"], ["y"]), {"b": F([100])}, "at most 100"),
    "Min, each element": (node("Min", ["x", "b"], ["y"]), {"b": np.full(6, 9, F)}, "at most 9"),
    "Max": (node("Max", ["x", "a"], ["y"]), {"a": F([[-7]])}, "at least -7"),
}
LETS_PASS: dict[str, tuple[NodeProto, dict[str, Any]]] = {
    "a variance": (node("Max", ["x", "a"], ["y"]), {"a": F(0)}),
    "a root": (node("Clip", ["x", "a"], ["y"]), {"a": F(1e-12)}),
    "float32's own limits": (node("Clip", ["x", "a", "b"], ["y"]), {"a": np.finfo(F).min, "b": np.finfo(F).max}),
    "no limits": (node("Clip", ["x"], ["y"]), {}),
    "of two values": (node("Max", ["x", "z"], ["y"]), {"z": X}),
    "whole numbers": (node("Min", ["n", "b"], ["y"]), {"n": np.arange(9), "b": np.int64(3)}),
    "a mask's lowest number": (node("Max", ["x", "a"], ["y"]), {"a": F(-3.4e38)}),
    "the waveform's own peak": (node("Min", ["x", "z"], ["y"]), {"z": F(3)}),
    "bounds that cannot be read": (node("Clip", ["x", "?", "??"], ["y"]), {}),
    "another operator": (node("Add", ["x", "b"], ["y"]), {"b": F(1)}),
}


def told(found: NodeProto, values: dict[str, Any]) -> list[str]:
    given = {name: np.asarray(value) for name, value in values.items()}
    return list(saturating(found, {"x": X, **given}.get, {"x", "z", "inside"}))


@pytest.mark.parametrize("name", CUTS)
def test_what_cuts_off(name: str) -> None:
    found, values, limits = CUTS[name]
    (problem,) = told(found, values)
    expected = f"{found.op_type} limits values to {limits}, the original has no limit; seen were -2 to 3"
    assert problem == expected


@pytest.mark.parametrize("name", LETS_PASS)
def test_what_lets_pass(name: str) -> None:
    assert told(*LETS_PASS[name]) == []


def test_what_was_given_to_it_need_not_be_readable() -> None:
    inside = node("Clip", ["inside", "", "b"], ["y"])  # in a branch of a condition
    assert told(inside, {"b": F(20)}) == ["Clip limits values to at most 20, the original has no limit"]


@pytest.mark.parametrize(
    ("op", "inputs", "limit", "relation"),
    [
        ("Greater", ["x", "b"], F(20), "above 20"),
        ("GreaterOrEqual", ["b", "x"], F(20), "at most 20"),
        ("Less", ["x", "b"], F([0.5]), "below 0.5"),
        ("LessOrEqual", ["x", "b"], F([1, 2]), "at most others"),
        ("Less", ["x", "z"], F(0), "below others"),
    ],
)
def test_what_chooses_by_size(op: str, inputs: list[str], limit: Any, relation: str) -> None:
    (problem,) = choosing(node(op, inputs, ["y"]), {"x": X, "b": np.asarray(limit)}.get, {"x", "z"})
    assert problem == f"{op} asks whether values are {relation}, the original does not; seen were -2 to 3"


def test_what_asks_for_something_else() -> None:
    for found in (node("Greater", ["n", "b"], ["y"]), node("Equal", ["x", "b"], ["y"]), node("Add", ["x", "b"], ["y"])):
        assert list(choosing(found, {"x": X, "b": F(1)}.get, {"x"})) == []
