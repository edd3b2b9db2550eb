"""Telling rounding from real differences: the noise floor, and outputs near zero. Knows no framework.

The same encoder in float64 gives the exact answer. The original's own distance from it is the floor: what two correct
float32 encoders must be expected to differ by. A port whose error is of that order computes the same function.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FLOAT32 = np.finfo(np.float32)

# The purely relative test, as torch.onnx's own verification has it. Values near zero fail it through rounding alone.
RELATIVE = 1e-3
# Two equally accurate encoders differ by about twice the largest error that either has. Measured near zero: up to 2.1
# for correct graphs, 5 to 8 for ordinary exports (InstanceNormalization summed in float32) of a clip with a DC offset.
OWN_ROUNDING = 3.0
# An original farther than this from float64, relative to its RMS, was not run on the exact answer's weights: what
# float32 leaves is 3e-7 to 6e-6, and 3e-4 in the middle of an ill-conditioned encoder.
NOT_ROUNDING = 1e-3


@dataclass(frozen=True)
class NoiseFloor:
    """Errors of a port and of its reference against the exact answer."""

    port: float  # RMS
    reference: float  # RMS, at least what is lost by storing the answer in float32
    reference_peak: float  # the largest
    scale: float  # RMS of the exact answer

    @property
    def ratio(self) -> float:
        """The port's RMS error as a multiple of the reference's: at or under 1 it is as accurate as the original."""
        return self.port / self.reference


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


def noise_floor(port: Array, reference: Array, exact: Array) -> NoiseFloor:
    """Measure the errors of port and reference against the exact answer, all three in float64 of one shape."""
    scale = max(rms(exact), float(FLOAT32.tiny))
    storing = float(FLOAT32.eps) / 4 * scale
    own = np.abs(reference - exact)
    return NoiseFloor(rms(port - exact), max(rms(own), storing), max(float(own.max()), storing), scale)


def beyond_noise(noise: NoiseFloor | None, error_ratio: float, reference_name: str) -> Iterator[str]:
    """Tell why errors are more than rounding: the original's own, or the port's beyond ``error_ratio`` times that."""
    if noise is None:
        return
    if not noise.reference <= NOT_ROUNDING * noise.scale:
        yield (
            f"{reference_name} itself is {noise.reference:.2e} RMS from the same encoder in float64, where outputs "
            f"have RMS {noise.scale:.2e}: that is no rounding, one of the two is another model"
        )
    if not noise.ratio <= error_ratio:
        yield (
            f"the RMS error against float64 is {noise.ratio:.3g} times {reference_name}'s own "
            f"({noise.port:.2e} against {noise.reference:.2e}) where {error_ratio:g} times is allowed"
        )


def near_zero(
    difference: Array, reference: Array, within: NDArray[np.bool_], rtol: float, noise: NoiseFloor | None
) -> NearZero:
    """Find the elements near zero that rounding moves; ``within`` says where the difference is within the tolerance.

    The threshold follows from the noise: it is the original's own rounding, or the largest difference that the
    tolerance lets pass where that is more, over RELATIVE (or ``rtol`` where that is more). So whatever passes but fails
    the relative test is near zero, and nothing falls in between.
    """
    limit = max(RELATIVE, rtol)
    own_rounding = 0.0 if noise is None else OWN_ROUNDING * noise.reference_peak
    floor = max(own_rounding, float(difference.max(where=within, initial=0.0)))
    near = limit * np.abs(reference) < floor
    flagged = near & within & (difference > limit * np.abs(reference)) & (difference > own_rounding)
    return NearZero(
        threshold=floor / limit,
        elements=int(np.count_nonzero(near)),
        flagged=int(np.count_nonzero(flagged)),
        max_rel=float(relative(difference, reference).max(where=near, initial=0.0)),
        max_abs=float(difference.max(where=near, initial=0.0)),
    )


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
