"""How large is an error, against what float32 leaves of the same computation on the same input?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aves_verify.comparison.noise import rms

Array = NDArray[np.float64]

_EPS = float(np.finfo(np.float32).eps)
# RMS error of a sum of n numbers that are added one by one, over the sum's RMS and the square root of n: each partial
# sum is rounded by 0.24 steps, of RMS, and the k-th of them is as large as the square root of k.
_ONE_BY_ONE = 0.17 * _EPS


@dataclass(frozen=True)
class LocalError:
    """The error of one value, computed from the inputs that the port had; float32's own is measured on the same."""

    relative: float  # RMS of the error over the RMS of the exact value
    ratio: float  # RMS of the error over that of float32's own
    peak: float  # the largest error of an element, over float32's own in its row and column


@dataclass(frozen=True)
class Yardstick:
    """What float32 leaves of a value."""

    rms: float
    each: Array  # of every element, about: by its row, its column and its size


def yardstick(rounded: Array, exact: Array, added: int) -> Yardstick:
    """Measure what float32 leaves on ``rounded``, the value in float32, and ``exact``, the same in float64.

    At least what is lost when the answer is stored, and when the ``added`` numbers that each element is the sum of are
    added one by one: libraries that add them in blocks differ, by their version and the processor.
    """
    scale = max(rms(exact), float(np.finfo(np.float32).tiny))
    one_by_one = _ONE_BY_ONE * added**0.5 if added > 1 else 0.0
    around = np.square(_around(rounded - exact)) + np.square(one_by_one * _around(exact))
    each = np.sqrt(around + np.square(_EPS / 2 * exact) + (_EPS / 16 * scale) ** 2)
    return Yardstick(max(rms(rounded - exact), one_by_one * scale, _EPS / 4 * scale), each)


def _around(array: Array) -> Array:
    """For each element the RMS of its row and its column together."""
    squares = array * array
    row = squares.mean(axis=-1, keepdims=True)
    column = squares.mean(axis=tuple(range(array.ndim - 1)), keepdims=True)
    around: Array = np.sqrt((row + column) / 2)
    return around


def coarser(one: Yardstick, other: Yardstick) -> Yardstick:
    """What the coarser of two ways to compute a value leaves."""
    return Yardstick(max(one.rms, other.rms), np.maximum(one.each, other.each))


def measure(value: Array, exact: Array, float32: Yardstick) -> LocalError:
    """The error of ``value``; infinite where it is no number."""
    error = np.abs(value - exact)
    found = LocalError(
        relative=rms(error) / max(rms(exact), float(np.finfo(np.float32).tiny)),
        ratio=rms(error) / float32.rms,
        peak=float((error / float32.each).max(initial=0.0)),
    )
    return found if np.isfinite(error).all() else LocalError(np.inf, np.inf, np.inf)
