"""Where a graph cuts values off that the original lets pass, or does something else with some: wrong on other sounds.

Both are right on all that is run where nothing that is run has such values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from aves_verify.operators.exact import is_real

Value = Callable[[str], "NDArray[Any] | None"]

_COMPARING = {"Greater": "above", "GreaterOrEqual": "at least", "Less": "below", "LessOrEqual": "at most"}
_ANY = 0.99 * float(np.finfo(np.float32).max)  # masks are written as the lowest number, or nearly


def saturating(node: onnx.NodeProto, value: Value, moving: Collection[str]) -> Iterator[str]:
    """Tell of a node that limits numbers to others than float32's own, and what it was given.

    A least value of 0 or more is none: variances and their roots are kept from rounding below it. ``value`` gives a
    value as the runtime had it, or a weight; ``moving`` are values that depend on the waveform, which limit nothing.
    """
    if node.op_type == "Clip":
        given, limits = node.input[0], _of_clip(node, value, moving)
    elif node.op_type in ("Min", "Max"):
        bounds = [b for name in node.input if name not in moving and is_real(b := value(name))]
        (given, *_) = [*(name for name in node.input if name in moving), ""]
        if not bounds or not given:
            return
        every = np.concatenate([np.asarray(bound, np.float64).reshape(-1) for bound in bounds])
        limits = (-np.inf, every.min()) if node.op_type == "Min" else (every.max(), np.inf)
    else:
        return
    least, most = limits
    if most >= _ANY and (least >= 0 or least <= -_ANY):
        return
    told = [f"at least {least:.4g}"] if least > -_ANY else []
    told += [f"at most {most:.4g}"] if most < _ANY else []
    yield f"{node.op_type} limits values to {' and '.join(told)}, the original has no limit{_seen(value(given))}"


def choosing(node: onnx.NodeProto, value: Value, moving: Collection[str]) -> Iterator[str]:
    """Tell of a node that asks how large a value is, which the original never does.

    ``moving`` are values that depend on the waveform's samples: to ask for its length is another thing.
    """
    if node.op_type not in _COMPARING or not any(name in moving for name in node.input):
        return
    relation, (asked, limit) = _COMPARING[node.op_type], list(node.input)[:2]
    if asked not in moving:
        opposite = {"above": "below", "below": "above", "at least": "at most", "at most": "at least"}
        relation, asked, limit = opposite[relation], limit, asked
    bound = None if limit in moving else value(limit)
    told = f"{bound.reshape(-1)[0]:.4g}" if bound is not None and bound.size == 1 else "others"
    yield f"{node.op_type} asks whether values are {relation} {told}, the original does not{_seen(value(asked))}"


def _seen(array: NDArray[Any] | None) -> str:
    return f"; seen were {array.min():.2g} to {array.max():.2g}" if array is not None and is_real(array) else ""


def _of_clip(node: onnx.NodeProto, value: Value, moving: Collection[str]) -> tuple[float, float]:
    """The least and the largest number that a Clip lets pass; infinite where there is none, or it cannot be read."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}  # before opset 11
    limits = [attributes.get("min", -np.inf), attributes.get("max", np.inf)]
    for i, name in enumerate(node.input[1:3]):
        bound = value(name) if name and name not in moving else None
        if bound is not None and is_real(bound) and bound.size == 1:
            limits[i] = bound.reshape(-1)[0]
    return float(limits[0]), float(limits[1])
