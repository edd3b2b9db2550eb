"""Values that ONNX Runtime's operators for all of attention have inside: an error in them may leave no trace behind.

A bias of the keys cancels in the softmax, so a graph whose bias is part of such an operator shows it in no value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from aves_verify.operators.exact import is_real

Array = NDArray[Any]
Value = Callable[[str], Array | None]

_PARTS = ("query", "key", "value")


def inside_merged(nodes: Sequence[onnx.NodeProto], value: Value) -> Iterator[tuple[str, Array]]:
    """Queries, keys and values of each such node, by its output's name, float64 [batch, frames, dim].

    ``value`` gives what the runtime had under a name, or a weight; a node is left out where one is missing, and where
    it scales by another number, as queries or keys may be scaled before it then.
    """
    for node in nodes:
        if node.domain != "com.microsoft" or node.op_type not in _PROJECTIONS:
            continue
        count, compute = _PROJECTIONS[node.op_type]
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        given = [value(name) for name in node.input[:count]]
        if len(given) == count and all(map(is_real, given)):
            parts = compute(attributes, [np.asarray(array, np.float64) for array in given])
            if len(parts) != len(_PARTS) or not _scales_by_itself(attributes, parts[0].shape[-1]):
                continue
            yield from ((f"{node.output[0]}, {name}", part) for name, part in zip(_PARTS, parts, strict=True))


def _scales_by_itself(attributes: Mapping[str, Any], dim: int) -> bool:
    scale, usual = attributes.get("scale", 0.0), (dim / attributes.get("num_heads", 1)) ** -0.5
    return not scale or abs(scale - usual) <= 1e-6 * usual


def _added(_: Mapping[str, Any], given: Sequence[Array]) -> Sequence[Array]:
    """With one bias for all three; packed ones, and keys of another layer, are left out."""
    *projected, bias = given
    widths = [array.shape[-1] for array in projected]
    if any(array.ndim != 3 for array in projected) or bias.shape != (sum(widths),):
        return ()
    return [array + part for array, part in zip(projected, np.split(bias, np.cumsum(widths)[:-1]), strict=True)]


def _projected(attributes: Mapping[str, Any], given: Sequence[Array]) -> Sequence[Array]:
    """By one matrix for all three."""
    x, weight, bias = given
    if x.ndim != 3 or weight.ndim != 2 or x.shape[-1] != len(weight) or bias.shape != weight.shape[1:]:
        return ()
    widths = attributes.get("qkv_hidden_sizes") or [len(bias) // len(_PARTS)] * len(_PARTS)
    return np.split(x @ weight + bias, np.cumsum(widths)[:-1], axis=-1)


_PROJECTIONS: dict[str, tuple[int, Callable[[Mapping[str, Any], Sequence[Array]], Sequence[Array]]]] = {
    "Attention": (3, _projected),  # how many inputs are read
    "MultiHeadAttention": (4, _added),
}
