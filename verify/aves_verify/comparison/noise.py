"""Telling rounding from real differences: the noise floor, and outputs near zero. Knows no framework.

The same encoder in float64 gives the exact answer. The original's own distance from it is the floor: what two correct
float32 encoders must be expected to differ by. A port whose error is of that order computes the same function.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FLOAT32 = np.finfo(np.float32)

# The purely relative test, as torch.onnx's own verification has it. Values near zero fail it through rounding alone.
RELATIVE = 1e-3
# Two equally accurate encoders differ by about twice the largest error that either has. Measured near zero: up to 2.1
# for correct graphs, 5 to 8 for ordinary exports (InstanceNormalization summed in float32) of a clip with a DC offset.
OWN_ROUNDING = 3.0
# An original farther than this from float64, relative to its RMS, is looked into: float32 leaves 3e-7 to 6e-6 on nearly
# all sounds. It decides nothing: on a constant offset with noise below a step of 16 bits it rightly leaves 5e-3.
SUSPICIOUS = 1e-5
# How many times what float32 leaves of an input the original's own error may be. Of one machine it is the same, of
# another with another torch 2 times were seen; an original in half precision has 1,000 times, another model millions.
ORIGINAL = 8.0
# What float32 leaves of an input is a measure up to this share of the answer's RMS.
MEASURE = 0.1
# Elements off in one direction are no rounding where they lie in this many dimensions: in one they may be, as frames
# are alike.
_DIMENSIONS = 20


@dataclass(frozen=True)
class NoiseFloor:
    """Errors of a port and of its reference against the exact answer."""

    port: float  # RMS
    reference: float  # RMS, at least what is lost by storing the answer in float32
    reference_peak: float  # the largest
    scale: float  # RMS of the exact answer
    # What float32 leaves of this very input, RMS and the largest, when the same encoder is computed in it in other
    # ways; None where nobody asked, as the original's own error tells enough.
    float32: float | None = None
    float32_peak: float | None = None

    @property
    def ratio(self) -> float:
        """The port's RMS error as a multiple of the reference's: at or under 1 it is as accurate as the original."""
        return self.port / self.reference

    @property
    def rounding(self) -> float:
        """What a correct encoder's RMS error is of the order of."""
        return max(self.reference, self.float32 or 0.0)

    @property
    def room(self) -> float:
        """By how much two correct encoders may differ in an element; nothing while the original's own is in doubt."""
        if self.float32_peak is None:
            return 0.0 if self.is_doubtful else self.reference_peak
        return self.reference_peak + (0.0 if self.port_is_nearer else 2 * self.float32_peak)

    @property
    def is_doubtful(self) -> bool:
        """Is the original so far from float64 that somebody has to look at what float32 leaves?"""
        return self.float32 is None and (self.port_is_nearer or not self.reference <= SUSPICIOUS * self.scale)

    @property
    def port_is_nearer(self) -> bool:
        """Is the port so much nearer to float64 that float32 may leave less than the original shows?"""
        return ORIGINAL * self.port < self.reference


@dataclass(frozen=True)
class NearZero:
    """The elements whose reference is so small that rounding alone can fail a purely relative test.

    Flagged are those that do fail it, by more than the original's own rounding explains.
    """

    threshold: float  # an element is near zero when |reference| is below this: the largest rounding over RELATIVE
    elements: int
    flagged: int
    max_rel: float  # over all elements near zero, flagged or not
    max_abs: float


def noise_floor(port: Array, reference: Array, exact: Array, float32: Sequence[Array] = ()) -> NoiseFloor:
    """Measure the errors of port and reference against the exact answer, all in float64 of one shape.

    ``float32`` are other computations of the same encoder in that precision. One that overflows, or loses more than a
    tenth of the answer, is no measure: a norm of a small sound on a large offset, summed carelessly, leaves nothing.
    """
    scale = max(rms(exact), float(FLOAT32.tiny))
    storing = float(FLOAT32.eps) / 4 * scale
    own = np.abs(reference - exact)
    floor = NoiseFloor(rms(port - exact), max(rms(own), storing), max(float(own.max()), storing), scale)
    errors = (np.abs(other - exact) for other in float32)
    left = [error for error in errors if np.isfinite(error).all() and rms(error) <= MEASURE * scale]
    if not left:
        return floor
    rounding, peak = max(map(rms, left)), max(float(error.max()) for error in left)
    return replace(floor, float32=max(rounding, storing), float32_peak=max(peak, storing))


def beyond_noise(noise: NoiseFloor | None, error_ratio: float, reference_name: str) -> Iterator[str]:
    """Tell why errors are more than rounding: the original's own, or the port's beyond ``error_ratio`` times that."""
    if noise is None:
        return
    left = "" if noise.float32 is None else f"; float32 leaves {noise.float32:.2e} of this input"
    if noise.float32 is not None and not noise.reference <= ORIGINAL * noise.float32:
        yield (
            f"{reference_name} itself is {noise.reference:.2e} RMS from the same encoder in float64{left}: "
            "that is no rounding, one of the two is another model"
        )
    if not noise.port <= error_ratio * noise.rounding:
        yield (
            f"the RMS error against float64 is {noise.ratio:.3g} times {reference_name}'s own "
            f"({noise.port:.2e} against {noise.reference:.2e}) where {error_ratio:g} times is allowed{left}"
        )


def near_zero(
    difference: Array, reference: Array, within: NDArray[np.bool_], rtol: float, noise: NoiseFloor | None
) -> tuple[NearZero, NDArray[np.bool_]]:
    """Find the elements near zero that rounding moves; ``within`` says where the difference is within the tolerance.

    The threshold follows from the noise: it is the original's own rounding, or the largest difference that the
    tolerance lets pass where that is more, over RELATIVE (or ``rtol`` where that is more). So whatever passes but fails
    the relative test is near zero, and nothing falls in between. Also returns which elements are flagged.
    """
    limit = max(RELATIVE, rtol)
    own_rounding = 0.0 if noise is None else OWN_ROUNDING * noise.reference_peak
    floor = max(own_rounding, float(difference.max(where=within, initial=0.0)))
    near = limit * np.abs(reference) < floor
    flagged = near & within & (difference > limit * np.abs(reference)) & (difference > own_rounding)
    found = NearZero(
        threshold=floor / limit,
        elements=int(np.count_nonzero(near)),
        flagged=int(np.count_nonzero(flagged)),
        max_rel=float(relative(difference, reference).max(where=near, initial=0.0)),
        max_abs=float(difference.max(where=near, initial=0.0)),
    )
    return found, flagged


def no_drift(port: Array, reference: Array, flagged: NDArray[np.bool_], reference_name: str) -> Iterator[str]:
    """Tell why flagged elements [batch, frames, dim] do not drift: rounding leaves no zeros, and has no direction."""
    zeros = flagged & (port == 0)
    if zeros.any():
        size = float(np.abs(reference).max(where=zeros, initial=0.0))
        yield f"{np.count_nonzero(zeros)} elements are exactly 0 where {reference_name} is up to {size:.2e}"
        return
    dimensions = flagged.any(axis=(0, 1))
    if np.count_nonzero(dimensions) < _DIMENSIONS:
        return
    for values, where in ((port - reference, ""), (np.abs(port) - np.abs(reference), ", seen from zero")):
        directions = np.sign(values.sum(axis=(0, 1), where=flagged))[dimensions]
        if (directions == directions[0]).all():
            count = np.count_nonzero(flagged)
            yield f"{count} elements near zero are all off in one direction{where}, which rounding is not"
            return


def drift(found: NearZero, noise: NoiseFloor | None, elements: int, reference_name: str) -> str:
    """Tell what drifted near zero and how much of it rounding does not explain. Empty when nothing did."""
    if not found.flagged:
        return ""
    text = (
        f"{found.flagged} of {elements} elements fail a relative test because the reference is near zero (below "
        f"{found.threshold:.2g}); the absolute difference there is at most {found.max_abs:.2e}"
    )
    if noise is None:
        return text
    size = found.max_abs / noise.reference_peak
    return f"{text}, {size:.2g} times {reference_name}'s own largest rounding error: more than the original has itself"


def relative(difference: Array, reference: Array) -> Array:
    """Compute |a - b| / |b|, finite everywhere: 0 / 0 is 0, x / 0 is x over the smallest normal float32."""
    return difference / np.maximum(np.abs(reference), float(FLOAT32.tiny))


def rms(array: Array) -> float:
    """Compute the root mean square."""
    return float(np.sqrt(np.mean(array * array)))
