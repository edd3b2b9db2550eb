"""Each node's own error: every operator of a graph once more in float64, from the very inputs that the runtime had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor

from aves_verify.operators.exact import Exact, Kind, is_real
from aves_verify.operators.sums import softmax_over_the_rest
from aves_verify.operators.table import MOVING, TABLE, UNSETTLED, WHOLE

_HALF_STEP = float(np.finfo(np.float32).eps) / 2
_TINY = float(np.finfo(np.float32).tiny)  # smaller numbers may be taken for 0
_HALF, _HALF_TINY = float(np.finfo(np.float16).eps) / 2, float(np.finfo(np.float16).tiny)

# How many units an element may be off. A unit is half the distance of two float32 numbers, of what the operator's
# rounding is relative to; of a sum that for each number which is added: numbers alike are rounded alike.
LIMITS: Mapping[Kind, float] = {"moved": 0.0, "rounded": 2.0, "function": 16.0, "sum": 2.0}

_SOFTMAX_OVER_ONE_AXIS = 13  # the opset

Array = NDArray[Any]


@dataclass(frozen=True)
class NodeError:
    """One node's own error, in units of what float32 leaves of its operator."""

    value: str  # the name of what it computes
    operator: str
    kind: Kind
    units: float

    @property
    def departs(self) -> bool:
        """Is it more than float32 leaves?"""
        return not self.units <= LIMITS[self.kind]


@dataclass(frozen=True)
class NodeErrors:
    """What was found about a graph's nodes."""

    looked_at: tuple[NodeError, ...]
    not_looked_at: Mapping[str, int]  # operators, and how many nodes of each

    @property
    def largest(self) -> NodeError | None:
        """The node that is nearest to its limit, or farthest beyond it."""
        return max(self.looked_at, key=lambda node: node.units / (LIMITS[node.kind] or 1.0), default=None)


def node_errors(
    nodes: Sequence[onnx.NodeProto],
    opset: Mapping[str, int],
    value: Callable[[str], Array | None],
    *,
    narrow: bool = False,
) -> NodeErrors:
    """Every node's own error; ``value`` gives what the runtime had under a name, None for what cannot be read.

    Nodes that compute whole numbers alone, such as shapes, are left out, but for products; and those that compute
    nothing from nothing. ``narrow``: the graph may have few bits, and what is in half precision is held to that.
    """
    looked_at: list[NodeError] = []
    left: Counter[str] = Counter()
    with torch.inference_mode():
        for node in nodes:
            found = [value(name) if name else None for name in node.output]
            readable = all(array is not None for name, array in zip(node.output, found, strict=True) if name)
            if readable and not (node.input and (any(map(is_real, found)) or node.op_type in WHOLE)):
                continue
            try:
                inputs = [value(name) if name else None for name in node.input]
                looked_at += _errors(node, opset, inputs, found, narrow=narrow)
            except Exception:  # an operator of any library, with attributes of any kind
                left[node.op_type] += 1
    return NodeErrors(tuple(looked_at), dict(left))


def _errors(
    node: onnx.NodeProto,
    opset: Mapping[str, int],
    inputs: Sequence[Array | None],
    found: Sequence[Array | None],
    *,
    narrow: bool,
) -> Iterator[NodeError]:
    if node.op_type in UNSETTLED:
        raise ValueError(f"{node.op_type} may round a number half way between two others either way")
    exact = _exact(node, opset, inputs)
    for name, array, wanted, size in zip(node.output, found, exact.values, exact.sizes, strict=False):
        if not name:
            continue
        if array is None:
            raise ValueError(f"{name} cannot be read")
        yield NodeError(name, node.op_type, exact.kind, _units(array, wanted, size, exact.length, narrow=narrow))


def _units(found: Array, exact: Tensor, size: Tensor, length: int, *, narrow: bool) -> float:
    """The largest error of an element."""
    half_step, tiny = (_HALF, _HALF_TINY) if narrow and found.dtype == np.float16 else (_HALF_STEP, _TINY)
    if found.shape != tuple(exact.shape):
        return np.inf
    value = _wide(found)
    unit = half_step * length * size + tiny
    same = (value == exact) | (value.isnan() & exact.isnan())
    units = ((value - exact).abs() / unit).masked_fill(same, 0.0).nan_to_num(np.inf, np.inf)
    return float(units.max()) if units.numel() else 0.0


def _exact(node: onnx.NodeProto, opset: Mapping[str, int], inputs: Sequence[Array | None]) -> Exact:
    domain = "" if node.domain == "ai.onnx" else node.domain
    if domain == "" and node.op_type in MOVING:
        moved = _reference(node, opset, inputs)
        return Exact(moved, moved, "moved")
    wide = [None if array is None else _wide(array) for array in inputs]
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "Softmax" and opset.get("", 0) < _SOFTMAX_OVER_ONE_AXIS:
        return softmax_over_the_rest(attributes, wide)
    if (domain, node.op_type) in TABLE:
        return TABLE[domain, node.op_type](attributes, wide)
    found = _reference(node, opset, [None if x is None else x.numpy() for x in wide])
    return Exact(found, tuple(x.abs() for x in found), "function")


def _wide(array: Array) -> Tensor:
    """In float64; whole numbers as they are."""
    return torch.from_numpy(np.array(array, np.float64 if is_real(array) else None, order="C"))


def _reference(node: onnx.NodeProto, opset: Mapping[str, int], inputs: Sequence[Array | None]) -> tuple[Tensor, ...]:
    """Compute it as the standard's own implementation does, in the precision of the inputs."""
    given = {name: array for name, array in zip(node.input, inputs, strict=True) if name}
    found = ReferenceEvaluator(node, opsets=dict(opset)).run(None, given)
    return tuple(torch.from_numpy(np.array(value, order="C")).double() for value in found)
