"""Comparing units, the nearest centroid of each frame: how many frames flip, and whether rounding explains each.

A frame between two centroids goes to either by rounding alone; one that lies near a single centroid does not. Knows no
framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_verify.comparison.compare import Comparison, Flips, Tolerance
from aves_verify.comparison.noise import Array

Units = NDArray[np.int64]
Floats = NDArray[np.float32]
_FRAMES = 256  # at a time: distances to thousands of centroids are more than the features


@dataclass(frozen=True)
class Nearest:
    """What the units of one layer are judged by: features [batch, frames, dim], exact and the original's, centroids."""

    exact: Array
    reference: Floats
    centroids: Floats


def compare_units(
    port: Units,
    reference: Units,
    nearest: Nearest | None,
    *,
    backend: str,
    reference_name: str,
    clip: str,
    layer: str,
    tolerance: Tolerance,
) -> Comparison:
    """Compare units, int64 [batch, frames]. Fails on another shape or type, and on a flip that no rounding explains.

    The original's own distances, in float32, are off from the exact ones by some error in each frame, which rounding
    makes. A flip is explained where the exact distances to the two centroids differ by no more than
    ``tolerance.error_ratio`` times that error and its RMS over all frames together. Without the exact features no flip
    is. Numbers are those of units spelled as vectors of zeros with a single one.
    """
    if problem := _incomparable(port, reference, reference_name):
        return Comparison(backend, reference_name, clip, layer, tolerance, "fail", problem)
    flipped = port != reference
    found = _flips(port, reference, nearest, tolerance.error_ratio)
    differs = float(flipped.any())
    return Comparison(
        backend=backend,
        reference=reference_name,
        clip=clip,
        layer=layer,
        tolerance=tolerance,
        status="fail" if found.unexplained else "pass",
        reason=_reason(found, port, reference, nearest, reference_name) if found.unexplained else "",
        max_abs=differs,
        max_rel=differs,
        mean_abs=float(flipped.mean()),
        cosine_min=1.0 - differs,
        min_tolerance=differs,
        flips=found,
    )


def _incomparable(port: Units, reference: Units, reference_name: str) -> str:
    """Why they cannot be compared; empty where they can."""
    if port.shape != reference.shape:
        return f"the port has shape {list(port.shape)}, {reference_name} {list(reference.shape)}"
    if port.dtype != np.int64:
        return f"the port is {port.dtype}, expected int64"
    return "" if port.size else f"nothing was compared: the outputs have shape {list(port.shape)}"


def _flips(port: Units, reference: Units, nearest: Nearest | None, ratio: float) -> Flips:
    frames, flipped = port.size, np.flatnonzero(port != reference)
    if not flipped.size or nearest is None:
        return Flips(frames, flipped.size, flipped.size)
    count = len(nearest.centroids)
    if not ((port >= 0) & (port < count)).all():
        return Flips(frames, flipped.size, flipped.size, np.inf)
    dim = nearest.centroids.shape[1]
    exact, own = nearest.exact.reshape(-1, dim), nearest.reference.reshape(-1, dim)
    chosen = np.stack([port.reshape(-1), reference.reshape(-1)], axis=1)
    parts = [slice(begin, begin + _FRAMES) for begin in range(0, frames, _FRAMES)]
    found = [_decided(exact[part], own[part], nearest.centroids, chosen[part]) for part in parts]
    margins, errors = (np.concatenate(each) for each in zip(*found, strict=True))
    explained = ratio * (errors + np.sqrt(np.mean(errors * errors)))
    beyond = margins[flipped] > explained[flipped]
    worst = flipped[int(np.argmax(margins[flipped] / np.maximum(explained[flipped], np.finfo(np.float64).tiny)))]
    return Flips(frames, flipped.size, int(beyond.sum()), float(margins[worst]), float(explained[worst]))


def _decided(exact: Array, own: Floats, centroids: Floats, chosen: Units) -> tuple[Array, Array]:
    """For each frame, by how much the exact distances to the two ``chosen`` centroids [frames, 2] differ.

    And by how much the original's distances in float32 are off there: of these two, or of the two that are nearest.
    """
    wide = _distances(exact, centroids.astype(np.float64))
    off = _distances(own, centroids) - wide
    nearest = np.argsort(wide, axis=1, kind="stable")[:, :2]
    errors = [np.ptp(np.take_along_axis(off, pair, axis=1), axis=1) for pair in (chosen, nearest)]
    return np.ptp(np.take_along_axis(wide, chosen, axis=1), axis=1), np.maximum(*errors)


def _distances(x: Any, centroids: Any) -> Any:
    """Squared distances [frames, k] in the precision of both, by the formula that makers of units use."""
    squares = (x * x).sum(axis=1, keepdims=True) + (centroids * centroids).sum(axis=1)
    return squares - 2 * (x @ centroids.T)


def _reason(found: Flips, port: Units, reference: Units, nearest: Nearest | None, reference_name: str) -> str:
    batch, frame = (int(i) for i in np.argwhere(port != reference)[0])
    told = (
        f"{found.flipped} of {found.frames} frames have another unit, the first is frame {frame}"
        f"{f' of batch {batch}' if batch else ''}: port {port[batch, frame]}, {reference_name} "
        f"{reference[batch, frame]}"
    )
    if nearest is None:
        return f"{told}; without the exact features nothing tells whether rounding explains it"
    if not np.isfinite(found.margin):
        return f"{told}; there are {len(nearest.centroids)} units"
    return (
        f"{told}; rounding does not explain {found.unexplained} of them: at worst the distances to the two centroids "
        f"differ by {found.margin:.2e}, where {found.explained:.2e} is what rounding may decide"
    )
