"""Numbers as every rendering writes them."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from aves_verify.comparison.compare import Comparison, Tolerance


def number(value: float | None) -> str:
    """A difference in two digits; a dash for what could not be computed."""
    if value == 0:
        return "0"
    return "-" if value is None or not math.isfinite(value) else f"{value:.1e}"


def ratio(value: float | None) -> str:
    """A multiple, with two digits after the point unless it is large."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.2f}" if value < 1000 else f"{value:.2g}"


def cosine(value: float) -> str:
    """A cosine in five digits."""
    return f"{value:.5f}" if math.isfinite(value) else "-"


def allowed(comparison: Comparison, size: Size) -> Size:
    """What a port may differ by where |reference| is ``size``; as ``compare`` has it, which saw the arrays."""
    limit, noise = comparison.tolerance, comparison.noise
    scale, peak = (noise.scale, noise.reference_peak) if noise else (1.0, 0.0)
    return limit.atol * max(1.0, scale) + limit.own_error * peak + limit.rtol * size


def held_to(limit: Tolerance) -> str:
    """What a port had to keep to."""
    own = " + the reference's own largest error" if limit.own_error else ""
    return f"|diff| <= {limit.atol:g} + {limit.rtol:g} |reference|{own}, error ratio <= {limit.error_ratio:g}"


Size = TypeVar("Size", float, NDArray[np.float64])
