"""Counting windows by their error ratio and by their sound: how loud, how long, how far from zero its mean."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from aves_convert.sounds.clip import SAMPLE_RATE
from aves_verify.report.corpus import Grid

# Edges are powers of two, or decibels, that float64 holds exactly, and are compared with, so no logarithm is taken.
RATIOS = tuple(float(edge) for edge in 2.0 ** np.arange(-8, 9, 0.25))
_LEVELS = tuple(float(edge) for edge in range(-140, 41, 5))  # dB of full scale
_SECONDS = tuple(float(edge) for edge in 2.0 ** np.arange(-6, 10, 0.5))
_OFFSETS = (0.0, *(float(edge) for edge in 10.0 ** np.arange(-7, 1.1, 0.25)))
_SOUNDS = {"level": _LEVELS, "seconds": _SECONDS, "offset": _OFFSETS}


@dataclass
class Grids:
    """Counts of two-dimensional bins, of which only those with something in them are kept."""

    cells: dict[str, Counter[tuple[int, int]]] = field(default_factory=lambda: {name: Counter() for name in _SOUNDS})

    def add(self, ratio: float, level: float, samples: int, offset: float) -> None:
        """Count a window: its error ratio, the RMS around its mean, its samples at 16 kHz, and its mean."""
        decibels = 20 * float(np.log10(level)) if level > 0 else _LEVELS[0]
        values = {"level": decibels, "seconds": samples / SAMPLE_RATE, "offset": abs(offset)}
        column = _bin(RATIOS, ratio)
        for name, value in values.items():
            self.cells[name][_bin(_SOUNDS[name], value), column] += 1

    @property
    def ratios(self) -> tuple[int, ...]:
        """Windows by their error ratio alone."""
        counts = Counter[int]()
        for (_, column), count in self.cells["seconds"].items():
            counts[column] += count
        return tuple(counts[column] for column in range(len(RATIOS) - 1))

    def found(self) -> tuple[Grid, ...]:
        """All counts."""
        return tuple(
            Grid(
                name,
                edges,
                RATIOS,
                tuple(
                    tuple(self.cells[name][row, column] for column in range(len(RATIOS) - 1))
                    for row in range(len(edges) - 1)
                ),
            )
            for name, edges in _SOUNDS.items()
            if self.cells[name]
        )


def _bin(edges: tuple[float, ...], value: float) -> int:
    """Which bin a value lies in; what lies beyond belongs to the one at the edge."""
    return min(max(bisect_right(edges, value) - 1, 0), len(edges) - 2)
