"""The encoder's steps as a smaller graph has them: what eight bits, or half precision, leave of each product.

Where a weight was rounded, the exact value is computed from the rounded one, which was held against the original's
before. What is left is what rounding x costs, and that is measured on the very x that the graph had, in the ways that
graphs are written: a scale for each frame, or one for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aves_verify.audit.functions import Weight
from aves_verify.audit.steps import POSITIONAL, Compute, Step

_LARGEST, _LEVELS = 127, 255  # of whole numbers with a sign, and without
_TINY = float(np.finfo(np.float32).tiny)
_IN_HALF = "onnx.float16"  # the port that has products in half precision
_PRODUCTS = ("attention scores", "attention")  # that have no weight


def reduced_steps(steps: Sequence[Step], kinds: Mapping[str, str], port: str) -> tuple[Step, ...]:
    """Add to each step that is reduced how coarsely it may be computed; ``kinds``: of weights that are rounded."""
    return tuple(_reduced(step, kinds.get(f"{step.site}.weight"), port) for step in steps)


def _reduced(step: Step, kind: str | None, port: str) -> Step:
    if kind == "int8":
        ways = (partial(_rounded, _by_frame, step.compute), partial(_rounded, _by_all, step.compute))
        return replace(step, coarse=ways, schemes=ways)
    if port == _IN_HALF and (kind == "float16" or step.operator in _PRODUCTS):
        return replace(step, coarse=(partial(_in_half, step.compute),))
    return step


def reduced_weight(weight: Weight, values: Mapping[str, NDArray[np.float32]]) -> Weight:
    """The original's weights in float64, with those of a smaller graph in the place of what was rounded.

    The positional convolution's is folded there: it stands for the direction, and its own length for the length.
    """
    folded = values.get(f"{POSITIONAL}.weight")
    own = {name: torch.from_numpy(value).double() for name, value in values.items()}
    if folded is not None:
        direction = torch.from_numpy(folded).double()
        own[f"{POSITIONAL}.weight_v"] = direction
        own[f"{POSITIONAL}.weight_g"] = direction.norm(dim=(0, 1), keepdim=True)
    return lambda name: own[name] if name in own else weight(name)


def _rounded(round_off: Callable[[Tensor], Tensor], compute: Compute, weight: Weight, x: Tensor) -> Tensor:
    found: Tensor = compute(weight, round_off(x))
    return found


def _by_frame(x: Tensor) -> Tensor:
    """In eight bits, with a scale for each frame [..., channels]."""
    step = (x.abs().amax(-1, keepdim=True) / _LARGEST).clamp(min=_TINY)
    return (x / step).round() * step


def _by_all(x: Tensor) -> Tensor:
    """In eight bits without a sign, with one scale and one zero for all, as DynamicQuantizeLinear of the standard."""
    low, high = x.amin().clamp(max=0), x.amax().clamp(min=0)
    step = ((high - low) / _LEVELS).clamp(min=_TINY)
    zero = (-low / step).round()
    return ((x / step).round() + zero).clamp(0, _LEVELS).sub(zero) * step


def _in_half(compute: Compute, weight: Weight, *sources: Tensor) -> Tensor:
    """What comes in and what comes out are rounded to half precision; sums are float32."""
    found: Tensor = compute(weight, *(source.half().float() for source in sources))
    return found.half().float()
