"""Arrays in, Comparison out: does the port compute what the original computes? Knows no framework."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.errors import InputError

Status = Literal["pass", "near-zero drift", "fail"]
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
class Tolerance:
    """What a port may differ by: |port - reference| <= atol * max(1, RMS of the reference) + rtol * |reference|.

    The scale is for layers whose values are large (before a last norm); final embeddings are of the order of 1.
    """

    # Ordinary ONNX exports of full-size encoders differ by up to 3e-5, on clips with a DC offset by 8e-5 to 2e-4.
    atol: float = 3e-4
    # A single large value has no more relative error than its frame; 1e-5 is ten times what float32 leaves of that.
    rtol: float = 1e-5
    # How many times the original's own RMS error the port's may be, both against float64. Ordinary exports: 0.2 to 1.7,
    # with a DC offset 3 to 13. One weight matrix off by 1 %: 40 and more on at least one of the reference signals.
    error_ratio: float = 32.0

    def __post_init__(self) -> None:
        """Raise InputError for what is no tolerance."""
        for name in ("atol", "rtol", "error_ratio"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name} is {getattr(self, name)}; expected a number of 0 or more")


# What each port may differ by. TorchAudio runs the original's operators in the original's order: it is equal to fairseq
# in one process, but for clips with an odd number of frames, which fairseq pads; there differences are up to 7e-6 and
# errors at most 1.1 times the original's. ONNX files come from anywhere, with operators and orders of their own.
TOLERANCES = {"torchaudio": Tolerance(atol=1e-5, rtol=1e-5, error_ratio=4.0), "onnx": Tolerance()}


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


@dataclass(frozen=True)
class Place:
    """One element, with both values."""

    batch: int
    frame: int
    dimension: int
    port: float
    reference: float


@dataclass(frozen=True)
class Comparison:
    """A port's output for one clip and layer against the reference's.

    Where nothing could be computed (other shapes, NaN), differences are infinite and the cosine is minus infinity.
    """

    backend: str
    reference: str
    clip: str
    layer: str
    status: Status
    reason: str  # one sentence: why it failed or what drifted; empty on pass
    max_abs: float
    max_rel: float  # |port - reference| / |reference|, a reference of 0 taken as the smallest normal float32
    mean_abs: float
    cosine_min: float  # over frames; two frames of zeros have cosine 1, one against another 0
    min_tolerance: float  # the smallest t for which |port - reference| <= t + t * |reference| holds everywhere
    error_ratio: float | None  # RMS(port - exact) / RMS(reference - exact); None without the exact answer
    near_zero: NearZero | None
    worst: Place | None  # where the largest absolute difference is


def compare(
    port: NDArray[np.float32],
    reference: NDArray[np.float32],
    *,
    backend: str,
    reference_name: str,
    clip: str,
    layer: str,
    tolerance: Tolerance,
    exact: NDArray[np.float64] | None = None,
) -> Comparison:
    """Compare a port's output with the reference's, both float32 [frames, dim] or [batch, frames, dim].

    ``exact`` is the output of the same encoder in float64. All arithmetic is in float64. Fails on another shape or
    dtype, NaN or infinity anywhere, no elements, a difference beyond the tolerance, and an error beyond
    ``tolerance.error_ratio`` times the reference's own. What lies within both, but fails a relative test near zero by
    more than the original's own rounding, is "near-zero drift", which passes. Raises ValueError for a reference of
    another number of dimensions.
    """
    if reference.ndim not in (2, 3):
        raise ValueError(f"expected a reference [frames, dim] or [batch, frames, dim], found {list(reference.shape)}")
    problem = _incomparable(port, reference, exact, reference_name)
    if problem:
        return incomparable(problem, backend=backend, reference_name=reference_name, clip=clip, layer=layer)
    a, b = (_batched(array) for array in (port, reference))
    errors = None if exact is None else _Errors.of(a, b, _batched(exact))
    difference = np.abs(a - b)
    allowed = tolerance.atol * max(1.0, _rms(b)) + tolerance.rtol * np.abs(b)
    near_zero = _near_zero(difference, b, difference <= allowed, max(RELATIVE, tolerance.rtol), errors)
    failures = [*_beyond_tolerance(a, b, allowed, reference_name), *_beyond_noise(errors, tolerance, reference_name)]
    status: Status = "fail" if failures else "near-zero drift" if near_zero.flagged else "pass"
    return Comparison(
        backend=backend,
        reference=reference_name,
        clip=clip,
        layer=layer,
        status=status,
        reason="; ".join(failures) or _drift(near_zero, errors, difference.size, reference_name),
        max_abs=float(difference.max()),
        max_rel=float(_relative(difference, b).max()),
        mean_abs=float(difference.mean()),
        cosine_min=_cosine_min(a, b),
        min_tolerance=float((difference / (1 + np.abs(b))).max()),
        error_ratio=None if errors is None else errors.ratio,
        near_zero=near_zero,
        worst=_place(a, b, int(difference.argmax())),
    )


def incomparable(problem: str, *, backend: str, reference_name: str, clip: str, layer: str) -> Comparison:
    """A failure without numbers: there are no two outputs that could be compared."""
    nothing = (np.inf, np.inf, np.inf, -np.inf, np.inf, None, None, None)
    return Comparison(backend, reference_name, clip, layer, "fail", problem, *nothing)


@dataclass(frozen=True)
class _Errors:
    """Errors of port and reference against the exact answer."""

    port: float  # RMS
    reference: float  # RMS, at least what is lost by storing the answer in float32
    reference_peak: float
    scale: float  # RMS of the exact answer

    @classmethod
    def of(cls, port: Array, reference: Array, exact: Array) -> _Errors:
        scale = max(_rms(exact), float(FLOAT32.tiny))
        storing = float(FLOAT32.eps) / 4 * scale
        own = np.abs(reference - exact)
        return cls(_rms(port - exact), max(_rms(own), storing), max(float(own.max()), storing), scale)

    @property
    def ratio(self) -> float:
        return self.port / self.reference


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


def _beyond_noise(errors: _Errors | None, tolerance: Tolerance, reference_name: str) -> Iterator[str]:
    """The noise test: is the port's error of the order of the original's own?"""
    if errors is None:
        return
    if not errors.reference <= NOT_ROUNDING * errors.scale:
        yield (
            f"{reference_name} itself is {errors.reference:.2e} RMS from the same encoder in float64, where outputs "
            f"have RMS {errors.scale:.2e}: that is no rounding, one of the two is another model"
        )
    if not errors.ratio <= tolerance.error_ratio:
        yield (
            f"the RMS error against float64 is {errors.ratio:.3g} times {reference_name}'s own "
            f"({errors.port:.2e} against {errors.reference:.2e}) where {tolerance.error_ratio:g} times is allowed"
        )


def _near_zero(
    difference: Array, b: Array, within: NDArray[np.bool_], relative: float, errors: _Errors | None
) -> NearZero:
    """Class the elements near zero; ``within``: where the difference is within the tolerance.

    The noise floor is the original's own rounding, or the largest difference that the tolerance lets pass where that is
    more: so whatever passes but fails the relative test is near zero, and nothing falls in between.
    """
    own_rounding = 0.0 if errors is None else OWN_ROUNDING * errors.reference_peak
    floor = max(own_rounding, float(difference.max(where=within, initial=0.0)))
    near = relative * np.abs(b) < floor
    flagged = near & within & (difference > relative * np.abs(b)) & (difference > own_rounding)
    return NearZero(
        threshold=floor / relative,
        elements=int(np.count_nonzero(near)),
        flagged=int(np.count_nonzero(flagged)),
        max_rel=float(_relative(difference, b).max(where=near, initial=0.0)),
        max_abs=float(difference.max(where=near, initial=0.0)),
    )


def _drift(near_zero: NearZero, errors: _Errors | None, elements: int, reference_name: str) -> str:
    """What drifted, in words; empty when nothing did."""
    if not near_zero.flagged:
        return ""
    text = (
        f"{near_zero.flagged} of {elements} elements fail a relative test because the reference is near zero (below "
        f"{near_zero.threshold:.2g}); the absolute difference there is at most {near_zero.max_abs:.2e}"
    )
    if errors is None:
        return text
    size = near_zero.max_abs / errors.reference_peak
    return f"{text}, {size:.2g} times {reference_name}'s own largest rounding error: more than the original has itself"


def _relative(difference: Array, b: Array) -> Array:
    """|a - b| / |b|, finite everywhere: 0 / 0 is 0, and x / 0 is x over the smallest normal float32."""
    return difference / np.maximum(np.abs(b), float(FLOAT32.tiny))


def _cosine_min(a: Array, b: Array) -> float:
    """The smallest cosine between two frames that belong together."""
    lengths = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    both_zero = ~a.any(axis=-1) & ~b.any(axis=-1)
    cosine = np.where(lengths > 0, (a * b).sum(axis=-1) / np.where(lengths > 0, lengths, 1.0), both_zero)
    return float(np.clip(cosine, -1.0, 1.0).min())


def _batched(array: NDArray[np.float32] | NDArray[np.float64]) -> Array:
    """[batch, frames, dim] in float64."""
    wide = array.astype(np.float64)
    return wide[None] if wide.ndim == 2 else wide


def _rms(array: Array) -> float:
    return float(np.sqrt(np.mean(array * array)))


def _place(a: Array, b: Array, flat: int) -> Place:
    batch, frame, dimension = (int(i) for i in np.unravel_index(flat, b.shape))
    return Place(batch, frame, dimension, float(a.flat[flat]), float(b.flat[flat]))


def _where(place: Place) -> str:
    batch = f"batch {place.batch}, " if place.batch else ""
    return f"{batch}frame {place.frame}, dimension {place.dimension}"
