"""Comparing two arrays of embeddings: does the port compute what the original computes? Knows no framework."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.report_document import Status
from aves_convert.reduction.cost import Cost
from aves_verify.comparison.noise import (
    Array,
    NearZero,
    NoiseFloor,
    beyond_noise,
    drift,
    near_zero,
    no_drift,
    noise_floor,
    relative,
    rms,
)


@dataclass(frozen=True)
class Tolerance:
    """What a port may differ by: |port - reference| <= atol * scale + rtol * |reference| + own_error * room.

    The scale is the RMS of the reference, at least 1: layers before a last norm have large values, final embeddings are
    of the order of 1. The room is the reference's own largest error against float64; where that or a port's error is
    beyond, it is looked at what float32 leaves of that very input when sums are taken less carefully, and twice the
    largest error of that counts too.
    """

    # Graphs of aves-convert differ by up to 1.3e-5 on the reference signals, ordinary exports by up to 3e-5. With an
    # offset it is more, nearly all of it the original's own error or that of a norm over the whole clip.
    atol: float = 5e-5
    # A single large value has no more relative error than its frame; 1e-5 is ten times what float32 leaves of that.
    rtol: float = 1e-5
    # How many times the original's own RMS error the port's may be, both against float64, or that of what float32
    # leaves of that input. Graphs of aves-convert: 0.1 to 1.1. Ordinary exports: 0.2 to 1.7, with an offset 3 to 13
    # times the original's own, and 1.5 times what float32 leaves. One matrix off by 1 %: 40 and more on some signal.
    error_ratio: float = 4.0
    # A difference of two encoders has the errors of both: how much of the room is left out.
    own_error: float = 1.0

    def __post_init__(self) -> None:
        """Raise InputError for what is no tolerance."""
        for name in ("atol", "rtol", "error_ratio", "own_error"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name} is {getattr(self, name)}; expected a number of 0 or more")


# What each kind of port may differ by, and why.
TOLERANCES = {
    # Runs the original's operators in the original's order: equal to fairseq in one process, but for clips with an odd
    # number of frames, which fairseq pads: there differences are up to 7e-6, errors at most 1.1 times the original's.
    "torchaudio": Tolerance(atol=1e-5),
    # The same operators once more; attention is computed in one piece by default, whose order of sums is its own.
    "transformers": Tolerance(atol=1e-5),
    # A graph from anywhere, with operators and an order of its own. What it calls itself decides nothing.
    "onnx": Tolerance(),
    # A graph that costs more than rounding is held to that: see ``reduced``. This is for what is no features.
    "reduced": Tolerance(),
    # The same where there are no weights to compute the exact answer from, so nothing tells what float32 leaves:
    # ordinary exports differ by up to 2e-4 on clips with an offset.
    "unmeasured": Tolerance(atol=3e-4),
}


@dataclass(frozen=True)
class Bound:
    """What a smaller graph may cost: decibels of a clip's signal over noise, and the cosine of its worst frame.

    ``max_flips``: the share of frames that may have another unit.
    """

    min_snr: float
    min_cosine: float
    max_flips: float = 1.0

    def __post_init__(self) -> None:
        """Raise InputError for what is no bound."""
        for name, low, high in (("min_snr", 0.0, 200.0), ("min_cosine", -1.0, 1.0), ("max_flips", 0.0, 1.0)):
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} is {getattr(self, name)}; expected a number from {low:g} to {high:g}")


@dataclass(frozen=True)
class Quantiles:
    """Quantiles of the absolute differences: half are at most ``p50``, 999 of 1,000 at most ``p999``."""

    p50: float
    p90: float
    p99: float
    p999: float


@dataclass(frozen=True)
class Place:
    """One element of the outputs: where it is, and the values that port and reference have there."""

    batch: int
    frame: int
    dimension: int
    port: float
    reference: float


@dataclass(frozen=True)
class Flips:
    """Frames to which port and reference give other units.

    ``margin``: of the flip that rounding explains least, by how much the port's centroid is farther from the exact
    features than the reference's, or nearer, as a difference of squared distances. ``explained``: how much of that
    rounding explains in that frame.
    """

    frames: int
    flipped: int
    unexplained: int
    margin: float = 0.0
    explained: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """A port's output for one clip and layer against the reference's.

    Where nothing could be computed (other shapes, NaN), differences are infinite and the cosine is minus infinity.
    """

    backend: str
    reference: str
    clip: str
    layer: str
    tolerance: Tolerance
    status: Status
    reason: str  # one sentence: why it failed or what drifted; empty on pass
    max_abs: float = np.inf
    max_rel: float = np.inf  # |port - reference| / |reference|, a reference of 0 taken as the smallest normal float32
    mean_abs: float = np.inf
    cosine_min: float = -np.inf  # over frames; two frames of zeros have cosine 1, one against another 0
    min_tolerance: float = np.inf  # the smallest t for which |port - reference| <= t + t * |reference| holds everywhere
    snr_db: float | None = None  # power of the reference over that of the difference; None where there is none
    error_ratio: float | None = None  # RMS(port - exact) / RMS(reference - exact); None without the exact answer
    noise: NoiseFloor | None = None
    quantiles: Quantiles | None = None
    near_zero: NearZero | None = None
    flips: Flips | None = None  # of units alone
    max_abs_at: Place | None = None
    max_rel_at: Place | None = None
    bound: Bound | None = None  # what it was held to, of a smaller graph
    cost: Cost | None = None


def compare(
    port: NDArray[np.float32],
    reference: NDArray[np.float32],
    *,
    exact: NDArray[np.float64] | None = None,
    float32: Sequence[NDArray[np.float32]] = (),
    tolerance: Tolerance = Tolerance(),
    backend: str = "port",
    reference_name: str = "reference",
    clip: str = "",
    layer: str = "final",
) -> Comparison:
    """Compare a port's output with the reference's, both float32 [frames, dim] or [batch, frames, dim].

    ``exact`` is the output of the same encoder in float64: with it the port's error is measured against the reference's
    own. ``float32`` are outputs of that encoder computed in float32 in other ways, for inputs of which float32 leaves
    little. ``backend``, ``reference_name``, ``clip`` and ``layer`` are what the two are called in the result. All
    arithmetic is in float64. Fails on another shape or dtype, NaN or infinity anywhere, no elements, a difference
    beyond the tolerance, and an error beyond ``tolerance.error_ratio`` times the reference's own. What lies within
    both, but fails a relative test near zero by more than the original's own rounding, is "near-zero drift", which
    passes. Raises ValueError for a reference of another number of dimensions.
    """
    if reference.ndim not in (2, 3):
        raise ValueError(f"expected a reference [frames, dim] or [batch, frames, dim], found {list(reference.shape)}")
    problem = _incomparable(port, reference, exact, reference_name)
    if problem:
        return Comparison(backend, reference_name, clip, layer, tolerance, "fail", problem)
    a, b = (_batched(array) for array in (port, reference))
    noise = None if exact is None else noise_floor(a, b, _batched(exact), [_batched(other) for other in float32])
    difference = np.abs(a - b)
    ratios = relative(difference, b)
    own = tolerance.own_error * noise.room if noise is not None else 0.0
    allowed = tolerance.atol * max(1.0, rms(b)) + tolerance.rtol * np.abs(b) + own
    small, flagged = near_zero(difference, b, difference <= allowed, tolerance.rtol, noise)
    failures = [
        *_beyond_tolerance(a, b, allowed, reference_name),
        *beyond_noise(noise, tolerance.error_ratio, reference_name),
        *no_drift(a, b, flagged, reference_name),
    ]
    status: Status = "fail" if failures else "near-zero drift" if small.flagged else "pass"
    return Comparison(
        backend=backend,
        reference=reference_name,
        clip=clip,
        layer=layer,
        tolerance=tolerance,
        status=status,
        reason="; ".join(failures) or drift(small, noise, difference.size, reference_name),
        max_abs=float(difference.max()),
        max_rel=float(ratios.max()),
        mean_abs=float(difference.mean()),
        cosine_min=_cosine_min(a, b),
        min_tolerance=float((difference / (1 + np.abs(b))).max()),
        snr_db=_snr_db(rms(b), rms(difference)),
        error_ratio=None if noise is None else noise.ratio,
        noise=noise,
        quantiles=Quantiles(*(float(q) for q in np.quantile(difference, (0.5, 0.9, 0.99, 0.999)))),
        near_zero=small,
        max_abs_at=_place(a, b, int(difference.argmax())),
        max_rel_at=_place(a, b, int(ratios.argmax())),
    )


def _incomparable(
    port: NDArray[np.float32], reference: NDArray[np.float32], exact: NDArray[np.float64] | None, reference_name: str
) -> str:
    """Why the arrays cannot be compared; empty when they can."""
    named: list[tuple[str, NDArray[Any], type]] = [
        ("the port", port, np.float32),
        (reference_name, reference, np.float32),
    ]
    named += [] if exact is None else [("the exact answer", exact, np.float64)]
    for name, array, _ in named:
        if array.shape != reference.shape:
            return f"{name} has shape {list(array.shape)}, {reference_name} {list(reference.shape)}"
    for name, array, wanted in named:
        if array.dtype != wanted:
            return f"{name} is {array.dtype}, expected {wanted.__name__}"
    if reference.size == 0:
        return f"nothing was compared: the outputs have shape {list(reference.shape)}"
    for name, array, _ in named:
        bad = ~np.isfinite(array)
        if bad.any():
            place = _place(_batched(array), _batched(array), int(bad.argmax()))
            return (
                f"{np.count_nonzero(bad)} of {bad.size} elements of {name} are NaN or infinite, "
                f"the first at {_where(place)}"
            )
    return ""


def _beyond_tolerance(a: Array, b: Array, allowed: Array, reference_name: str) -> Iterator[str]:
    """The classical test, element by element."""
    excess = np.abs(a - b) - allowed
    beyond = np.count_nonzero(~(excess <= 0))
    if beyond:
        worst = int(excess.argmax())
        place = _place(a, b, worst)
        yield (
            f"{beyond} of {a.size} elements are beyond the tolerance, the worst at {_where(place)}: "
            f"port {place.port:.7g}, {reference_name} {place.reference:.7g}, "
            f"difference {abs(place.port - place.reference):.2e} where {allowed.flat[worst]:.2e} is allowed"
        )


def _snr_db(signal: float, noise: float) -> float | None:
    """Signal-to-noise ratio of two RMS values in decibels; None where one of them is nothing."""
    return 20 * math.log10(signal / noise) if signal > 0 and noise > 0 else None


def _cosine_min(a: Array, b: Array) -> float:
    """The smallest cosine between two frames that belong together."""
    lengths = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    both_zero = np.asarray(~a.any(axis=-1) & ~b.any(axis=-1), dtype=np.float64)  # the answer where a length is zero
    cosine = np.divide((a * b).sum(axis=-1), lengths, out=both_zero, where=lengths > 0)
    return float(np.clip(cosine, -1.0, 1.0).min())


def _batched(array: NDArray[np.float32] | NDArray[np.float64]) -> Array:
    """[batch, frames, dim] in float64."""
    wide = np.asarray(array, dtype=np.float64)
    return wide[None] if wide.ndim == 2 else wide


def _place(a: Array, b: Array, flat: int) -> Place:
    batch, frame, dimension = (int(i) for i in np.unravel_index(flat, b.shape))
    return Place(batch, frame, dimension, float(a.flat[flat]), float(b.flat[flat]))


def _where(place: Place) -> str:
    batch = f"batch {place.batch}, " if place.batch else ""
    return f"{batch}frame {place.frame}, dimension {place.dimension}"
