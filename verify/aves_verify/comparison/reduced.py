"""Comparing a smaller graph with the original: it is held to what it may cost, not to rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.bundle.report_document import Status
from aves_convert.reduction.cost import Cost, cost
from aves_verify.comparison.compare import Bound, Comparison, Tolerance, compare

# What each smaller graph may cost where nobody says: see docs/reduced-ports.md for what was measured.
BOUNDS: dict[str, Bound] = {
    "onnx.float16-weights": Bound(min_snr=50.0, min_cosine=0.9999, max_flips=0.02),
    "onnx.float16": Bound(min_snr=45.0, min_cosine=0.9999, max_flips=0.04),
    "onnx.int8": Bound(min_snr=22.0, min_cosine=0.995, max_flips=0.2),
}

_FEW_FLIPS = 2  # frames of a short clip that may have another unit: a share of few is none


def compare_reduced(
    port: NDArray[np.float32], reference: NDArray[np.float32], bound: Bound, **names: Any
) -> Comparison:
    """Compare a smaller graph's output with the reference's, both float32 [frames, dim] or [batch, frames, dim].

    ``names`` are those of ``compare``. Fails where that finds nothing to compare, and where it costs more than the
    bound; else it is "pass (reduced)", which is not what a port of float32 is called.
    """
    found = replace(compare(port, reference, tolerance=Tolerance(), **names), bound=bound, near_zero=None)
    if not np.isfinite(found.max_abs):  # another shape, NaN, nothing at all
        return found
    measured = cost(port, reference)
    failures = list(_beyond(measured, bound))
    status: Status = "fail" if failures else "pass (reduced)"
    return replace(found, cost=measured, status=status, reason="; ".join(failures))


def held_to_flips(found: Comparison, bound: Bound) -> Comparison:
    """Hold units of a smaller graph to how many frames may have another one, whatever the reason."""
    if found.flips is None:
        return replace(found, bound=bound)
    allowed = max(_FEW_FLIPS, math.floor(bound.max_flips * found.flips.frames))
    if found.flips.flipped <= allowed:
        return replace(found, bound=bound, status="pass (reduced)", reason="")
    reason = f"{found.flips.flipped} of {found.flips.frames} frames have another unit, where {allowed} may"
    return replace(found, bound=bound, status="fail", reason=reason)


def _beyond(found: Cost, bound: Bound) -> Iterator[str]:
    if not found.snr >= bound.min_snr:
        yield f"it costs more than it may: {found.snr:.1f} dB over its noise, where {bound.min_snr:g} is asked for"
    if not found.worst_cosine >= bound.min_cosine:
        yield (
            f"it costs more than it may: a frame's cosine with the original's is {found.worst_cosine:.5f}, "
            f"where {bound.min_cosine:g} is asked for"
        )
