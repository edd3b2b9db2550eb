"""Where a graph cuts values off that the original lets pass: right on all that is run, and wrong on louder sounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from aves_verify.operators.exact import is_real

Value = Callable[[str], "NDArray[np.generic] | None"]

_FLOAT32 = float(np.finfo(np.float32).max)


def saturating(node: onnx.NodeProto, value: Value) -> Iterator[str]:
    """Tell of a node that limits numbers to others than float32's own, and what it was given.

    A least value of 0 or more is none: variances and their roots are kept from rounding below it. ``value`` gives a
    value as the runtime had it, or a weight.
    """
    least, most, given = _limits(node, value)
    if given is None or (least >= 0 and most >= _FLOAT32) or (least <= -_FLOAT32 and most >= _FLOAT32):
        return
    limits = [f"at least {least:.4g}"] if least > -_FLOAT32 else []
    limits += [f"at most {most:.4g}"] if most < _FLOAT32 else []
    seen = f"from {given.min():.2g} to {given.max():.2g}" if given.size else "none"
    yield f"{node.op_type} limits values to {' and '.join(limits)}, the original has no limit; seen were {seen}"


def _limits(node: onnx.NodeProto, value: Value) -> tuple[float, float, NDArray[np.generic] | None]:
    """The least and the largest number that a node lets pass, and what it was given; None where it is no such node."""
    free = -np.inf, np.inf, None
    if node.op_type == "Clip":
        given = value(node.input[0])
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        bounds = [_number(value(name)) if name else None for name in node.input[1:3]]
        least, most = [*bounds, None, None][:2]
        least = attributes.get("min", -np.inf) if least is None else least
        most = attributes.get("max", np.inf) if most is None else most
    elif node.op_type in ("Min", "Max"):
        arrays = [value(name) for name in node.input]
        numbers = [number for array in arrays if (number := _number(array)) is not None]
        others = [array for array in arrays if array is not None and array.size > 1]
        if not numbers or len(others) != 1:
            return free
        (given,) = others
        least, most = (-np.inf, min(numbers)) if node.op_type == "Min" else (max(numbers), np.inf)
    else:
        return free
    return (float(least), float(most), given) if given is not None and is_real(given) else free


def _number(array: NDArray[np.generic] | None) -> float | None:
    return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None
