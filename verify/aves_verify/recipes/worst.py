"""Keeping the worst windows of a shard with their arrays: those of all would be more than the sound itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.bundle.report_document import STATUSES
from aves_verify.comparison.compare import Comparison
from aves_verify.comparison.evidence import evidence_of
from aves_verify.parts.row import Arrays, Row

_LARGEST = 1 << 20  # numbers of an output that is kept; with what is left of it, pictures are drawn


def rank(comparison: Comparison) -> tuple[int, float]:
    """Rank a comparison: by its status first, then by its largest difference relative to the size of its values."""
    scale = comparison.noise.scale if comparison.noise is not None else 1.0
    return STATUSES.index(comparison.status), comparison.max_abs / max(1.0, scale)


class Worst:
    """The arrays of the worst rows of each backend, as rows come; of equals the first is kept."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._worst: dict[str, list[tuple[tuple[int, float], int, Arrays]]] = {}

    def add(
        self, index: int, comparison: Comparison, waveform: NDArray[np.float32], port: object, reference: object
    ) -> None:
        """Look at the row of this index: its window's samples, and the outputs [1, frames, dim] if there are any."""
        found = self._worst.setdefault(comparison.backend, [])
        ranked = rank(comparison)
        if len(found) == self._kept and ranked <= found[-1][0]:
            return
        arrays = _arrays(comparison, waveform, port, reference)
        found.append((ranked, index, arrays))
        found.sort(key=lambda each: (tuple(-value for value in each[0]), each[1]))
        del found[self._kept :]

    def with_arrays(self, rows: list[Row]) -> tuple[Row, ...]:
        """The rows, the worst of them with their arrays."""
        kept = {index: arrays for found in self._worst.values() for _, index, arrays in found}
        return tuple(replace(row, arrays=kept[i]) if i in kept else row for i, row in enumerate(rows))


def _arrays(comparison: Comparison, waveform: NDArray[np.float32], port: object, reference: object) -> Arrays:
    if not (_is_output(port) and _is_output(reference)):
        return Arrays(waveform)
    assert isinstance(port, np.ndarray) and isinstance(reference, np.ndarray)  # noqa: S101, PT018 - both were looked at
    evidence = evidence_of(port, reference)
    if comparison.status != "fail" or port.size > _LARGEST:
        return Arrays(waveform, evidence)
    return Arrays(waveform, evidence, port[0], reference[0])


def _is_output(array: object) -> bool:
    """Whether it is float32 [1, frames, dim]: a port that fails may give anything, or nothing."""
    return isinstance(array, np.ndarray) and array.dtype == np.float32 and array.ndim == 3 and len(array) == 1
