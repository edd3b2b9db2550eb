"""What an operator gives in float64, and how large its rounding may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

Kind = Literal["moved", "rounded", "function", "sum"]
Inputs = Sequence[Tensor | None]
Attributes = Mapping[str, Any]


@dataclass(frozen=True)
class Exact:
    """An operator's outputs in float64, and what the rounding of each element is relative to.

    Of a sum that is the sum of the absolute products, which is larger than the result where they cancel.
    """

    values: tuple[Tensor, ...]
    sizes: tuple[Tensor, ...]
    kind: Kind
    length: int = 1  # of a sum: how many numbers are added


Operator = Callable[[Attributes, Inputs], Exact]


class NotInTableError(Exception):
    """A way to use an operator that the table does not know."""


def given(inputs: Inputs, count: int) -> tuple[Tensor, ...]:
    """The first inputs, which the operator always has. Raises NotInTableError where one is missing."""
    found = tuple(x for x in inputs[:count] if x is not None)
    if len(found) < count:
        raise NotInTableError("an input is missing")
    return found


def optional(inputs: Inputs, place: int) -> Tensor | None:
    """An input that may be left out."""
    return inputs[place] if place < len(inputs) else None


def is_real(value: Any) -> bool:
    """Is it an array of floating-point numbers, of whatever precision?"""
    return isinstance(value, np.ndarray) and value.dtype.kind in "fV" and value.size > 0
