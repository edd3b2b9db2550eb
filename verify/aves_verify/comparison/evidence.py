"""What the pictures of a report are drawn from: differences over time, and over the reference's size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.bundle.report_document import STATUSES
from aves_verify.comparison.compare import Comparison

KEPT = 20  # clips of each backend; there are fewer reference signals
_WORST, _SPREAD = 400, 1600  # elements kept: those with the largest relative difference, and some from everywhere


@dataclass(frozen=True, eq=False)
class Evidence:
    """Differences of a port's final embeddings on one clip, reduced to what pictures show."""

    frames: NDArray[np.float32]  # [frames]: the largest |difference| in each
    reference: NDArray[np.float32]  # [sample]: |reference| of some elements
    difference: NDArray[np.float32]  # [sample]: |difference| of the same


class Kept:
    """Evidence of each backend's worst clips only: that of a thousand clips would fill the memory."""

    def __init__(self) -> None:
        self._kept: dict[str, list[tuple[Comparison, Evidence]]] = {}

    def add(self, comparison: Comparison, port: NDArray[np.float32], reference: NDArray[np.float32]) -> None:
        """Reduce two outputs [1, frames, dim], and keep what is among the worst so far; of equals the first.

        Nothing where they cannot be compared.
        """
        evidence = evidence_of(port, reference)
        if evidence is None:
            return
        kept = self._kept.setdefault(comparison.backend, [])
        kept.append((comparison, evidence))
        if len(kept) > KEPT:
            del kept[min(range(KEPT, -1, -1), key=lambda i: severity(kept[i][0]))]

    def found(self) -> dict[tuple[str, str], Evidence]:
        """What was kept, by backend and clip."""
        return {(c.backend, c.clip): evidence for kept in self._kept.values() for c, evidence in kept}


def severity(comparison: Comparison) -> tuple[int, float]:
    """Rank a comparison: by its status first, then by its largest difference."""
    return STATUSES.index(comparison.status), comparison.max_abs


def evidence_of(port: NDArray[np.float32], reference: NDArray[np.float32]) -> Evidence | None:
    """Reduce two outputs [1, frames, dim] to evidence; None where they cannot be compared."""
    if port.shape != reference.shape or not port.size or not (np.isfinite(port).all() and np.isfinite(reference).all()):
        return None
    difference = np.abs(port.astype(np.float64) - reference)
    size = np.abs(reference).astype(np.float64)
    relative = (difference / np.maximum(size, float(np.finfo(np.float32).tiny))).ravel()
    worst = np.argpartition(relative, -min(_WORST, relative.size))[-min(_WORST, relative.size) :]
    spread = np.linspace(0, relative.size - 1, min(_SPREAD, relative.size)).astype(int)
    sample = np.union1d(worst, spread)
    return Evidence(
        frames=difference.max(axis=(0, 2)).astype(np.float32),
        reference=size.ravel()[sample].astype(np.float32),
        difference=difference.ravel()[sample].astype(np.float32),
    )
