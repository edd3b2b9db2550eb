"""Counting differences by their size, so that counts of parts can be added up without any error.

A bin is the upper bits of a difference in float32: its exponent and the first three bits behind the point, eight bins
for each doubling. So bins are the same on every machine, and no logarithm is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_SHIFT = 20  # bits of the fraction that are dropped: 3 of 23 stay
BINS = 1 << (31 - _SHIFT)  # of numbers from 0 on

Counts = Mapping[int, int]  # bin -> how many


def counted(difference: NDArray[np.float64]) -> dict[int, int]:
    """Count |differences| by bin; the bin 0 has those under 1e-38, which are mostly none at all."""
    with np.errstate(over="ignore"):
        bits = np.abs(difference).astype(np.float32).ravel().view(np.uint32) >> np.uint32(_SHIFT)
    counts = np.bincount(bits, minlength=1)
    return {int(i): int(counts[i]) for i in np.flatnonzero(counts)}


def added(every: Sequence[Counts]) -> dict[int, int]:
    """Add counts up, in order of their bins."""
    total: dict[int, int] = {}
    for counts in every:
        for index, count in counts.items():
            total[index] = total.get(index, 0) + count
    return dict(sorted(total.items()))


def upper_edge(index: int) -> float:
    """The size that all differences in a bin are below."""
    edge = np.array([min(index + 1, BINS - 1) << _SHIFT], np.uint32).view(np.float32)[0]
    return float(edge)


def quantile(counts: Counts, share: float) -> float:
    """The size below which this share of the differences lies, rounded up to the edge of its bin; at most by 1/8."""
    wanted, seen = share * sum(counts.values()), 0
    for index in sorted(counts):
        seen += counts[index]
        if seen >= wanted:
            return 0.0 if index == 0 else upper_edge(index)
    return 0.0
