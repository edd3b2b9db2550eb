"""Writing numbers as every rendering has them."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from aves_verify.comparison.compare import Comparison, Tolerance


def number(value: float | None) -> str:
    """Write a difference with two digits; a dash for what could not be computed."""
    if value == 0:
        return "0"
    return "-" if value is None or not math.isfinite(value) else f"{value:.1e}"


def ratio(value: float | None) -> str:
    """Write a multiple with two digits after the point, unless it is large."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.2f}" if value < 1000 else f"{value:.2g}"


def cosine(value: float) -> str:
    """Write a cosine with five digits."""
    return f"{value:.5f}" if math.isfinite(value) else "-"


def allowed(comparison: Comparison, size: Size) -> Size:
    """Compute what a port may differ by where |reference| is ``size``, as ``compare`` does."""
    limit, noise = comparison.tolerance, comparison.noise
    scale, room = (noise.scale, noise.room) if noise else (1.0, 0.0)
    return limit.atol * max(1.0, scale) + limit.own_error * room + limit.rtol * size


def held_to(limit: Tolerance) -> str:
    """Write what a port had to keep to, as a formula."""
    own = " + the reference's own largest error" if limit.own_error else ""
    return f"|diff| <= {limit.atol:g} + {limit.rtol:g} |reference|{own}, error ratio <= {limit.error_ratio:g}"


Size = TypeVar("Size", float, NDArray[np.float64])
