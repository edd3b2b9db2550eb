"""Each stage's own error: a port's inner values against the exact answer from the port's own earlier values.

What an earlier stage did wrong is in both, so what is left is this stage's own, and it is held against what float32
leaves of the same computation on the same input. A stage is found by what it holds. Where a graph has merged operators,
values are missing, and others may be near: the product before its bias is added, or a sum's larger part. So a value
that is off is only believed where what follows was computed from it. Where what follows was computed from the right
one, it is another value, and the stage counts as not found.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aves_verify.audit.candidates import Candidates
from aves_verify.audit.errors import LocalError, coarser, measure, yardstick
from aves_verify.audit.functions import Weight
from aves_verify.audit.steps import COARSE_WAYS, OUTPUT, POSITIONAL, WAVEFORM, Step
from aves_verify.comparison.noise import rms

# How many times float32's own error a stage may have, in all and in one element.
LIMIT = 4.0
PEAK_LIMIT = 30.0

# Of products in few bits: x that is rounded in a known way is nearer to that than this share of what it costs. What
# rounding leaves in a direction is 0.001 of the product, and a hundredth of a step, on half a second of tiny encoders.
_IN_SCHEME, _MOST_GAIN, _MOST_SHIFT = 0.1, 0.004, 0.25
_STEPS = 127  # from zero to the largest number of a frame
_FLOAT32 = 64 * float(np.finfo(np.float32).eps)  # what costs less than this share of a value is lost in its rounding

_NEAR = 0.5  # a value farther than this from the exact one, relative to its RMS, is another value
_CLEARLY = 1.1  # what follows fits a value that is off if it has this much less error with it than without
_MOST_UNDECIDED = 4  # stages at a time; each doubles the ways in which the next one may have been computed

Values = Mapping[str, NDArray[Any]]
_Way = frozenset[str]  # undecided sites whose nearest value is taken for the port's
_NOTHING: _Way = frozenset()
_Kind = Literal["exact", "float32"] | int  # of computation; a number is one of the coarse ways


@dataclass(frozen=True)
class RoundedProduct:
    """How a product in few bits departs from the exact product of its rounded weight.

    ``beside``: from the nearest known way in which x is rounded, as a share of what that costs. Rounding leaves no
    direction; ``gain`` is how much too large the product is as a whole, and ``shift`` by how many steps x is off.
    """

    beside: float
    gain: float
    shift: float

    @property
    def is_known(self) -> bool:
        """Is x rounded in a known way?"""
        return self.beside < _IN_SCHEME

    @property
    def is_biased(self) -> bool:
        """Is it off in a direction, as no way to round is? A scale or a zero is another than that of the rounding."""
        return not self.is_known and (abs(self.gain) > _MOST_GAIN or abs(self.shift) > _MOST_SHIFT)


@dataclass(frozen=True)
class StageError:
    """One stage of a port, and its own error."""

    stage: str
    operator: str
    site: str
    value: str | None = None  # the port's name of it; None where it was not found
    between: tuple[str, ...] = ()  # stages before it that were not found, back to those that it was computed from
    error: LocalError | None = None
    product: RoundedProduct | None = None  # of one in few bits

    @property
    def name(self) -> str:
        """What it is called in a message."""
        return self.stage if self.operator == OUTPUT else f"{self.stage}, {self.operator}"

    @property
    def departs(self) -> bool:
        """Is its error more than float32 leaves?"""
        return self.error is not None and not within_limits(self.error)


def within_limits(error: LocalError) -> bool:
    """Is it no more than what float32 leaves?"""
    return error.ratio <= LIMIT and error.peak <= PEAK_LIMIT


def stage_errors(
    steps: Sequence[Step],
    weight: Weight,
    waveform: NDArray[np.float32],
    values: Values,
    certain: Mapping[str, tuple[str, NDArray[Any]]] = MappingProxyType({}),
) -> tuple[StageError, ...]:
    """Every stage's own error, in the order of ``steps``.

    ``weight`` gives the original's tensors in float64; ``values`` are the port's, by names of its own, and its outputs
    by their sites. Those that need no search are ``certain``: their names and values by their sites.
    """
    with torch.inference_mode():
        return tuple(_Walk(steps, weight, waveform, values, certain).found())


@dataclass(frozen=True)
class _Found:
    """The port's value nearest to a stage's exact one, if that was computed in one way."""

    way: _Way
    name: str
    value: Tensor  # in the stage's layout
    error: LocalError
    product: RoundedProduct | None = None


class _Walk:
    """One way along the encoder, stage by stage."""

    def __init__(
        self,
        steps: Sequence[Step],
        weight: Weight,
        waveform: NDArray[np.float32],
        values: Values,
        certain: Mapping[str, tuple[str, NDArray[Any]]],
    ) -> None:
        self._steps = {step.site: step for step in steps}
        self._weight = weight
        outputs = {step.site: values[step.site] for step in steps if step.operator == OUTPUT}
        self._certain = {**certain, **{site: (site, value) for site, value in outputs.items()}}
        self._candidates = Candidates({name: value for name, value in values.items() if name not in outputs})
        self._known: dict[str, Tensor] = {WAVEFORM: torch.tensor(waveform)}  # the port's own values
        self._undecided: dict[str, _Found] = {}
        self._computed: dict[tuple[str, _Kind, _Way], Tensor] = {}
        self._open_ones: dict[str, frozenset[str]] = {}
        self._results: dict[str, StageError] = {}

    def found(self) -> Iterator[StageError]:
        for step in self._steps.values():
            self._look_at(step)
        for site in self._undecided:  # nothing that follows tells, so it is where the port goes astray
            self._report(self._steps[site], self._undecided[site])
        yield from (self._results[site] for site in self._steps)

    def _look_at(self, step: Step) -> None:
        """Find a stage's value under each assumption about the undecided ones before it."""
        self._results[step.site] = StageError(step.stage, step.operator, step.site)
        undecided = sorted(self._open(step.site))
        chosen = itertools.chain.from_iterable(
            itertools.combinations(undecided, count) for count in range(len(undecided) + 1)
        )
        found = {way: near for way in map(frozenset, chosen) if (near := self._nearest(step, way)) is not None}
        if not found:
            return
        best = min(found.values(), key=lambda near: near.error.ratio)
        if not within_limits(best.error) and (step.site not in self._certain or step.operator == OUTPUT):
            self._undecided[step.site] = best
            self._open_ones.clear()
            if len(self._undecided) > _MOST_UNDECIDED:
                self._believe(next(iter(self._undecided)))
            return
        for site in undecided:
            without = found.get(best.way - {site})
            needed = without is None or without.error.ratio > _CLEARLY * best.error.ratio
            if site in best.way and needed:
                self._believe(site)
            else:
                self._forget(site)
        self._report(step, best)
        self._known[step.site] = best.value
        self._open_ones.clear()
        self._drop(step.site)

    def _nearest(self, step: Step, way: _Way) -> _Found | None:
        """None where nothing is near; an output, and what else is certain, is what it is."""
        exact = self._value(step.site, way, "exact").numpy()
        if step.site in self._certain:
            name, value = self._certain[step.site]
            if value.shape != exact.shape:
                return _Found(way, name, torch.from_numpy(exact), LocalError(np.inf, np.inf, np.inf))
        else:
            near = self._candidates.nearest(exact, longer=step.site == POSITIONAL)
            if near is None:
                return None
            name, value = near
        wide = value.astype(np.float64)
        float32 = yardstick(self._value(step.site, way, "float32").double().numpy(), exact, step.added)
        if any(self._steps[site].coarse for site in self._unknown(step.site)):
            for i in range(COARSE_WAYS):
                coarse = self._value(step.site, way, i).double().numpy()
                float32 = coarser(float32, yardstick(coarse, exact, step.added))
        error = measure(wide, exact, float32)
        if error.relative > _NEAR and step.site not in self._certain:
            return None
        kept = np.ascontiguousarray(value if value.dtype in (np.float32, np.float64) else wide)
        return _Found(way, name, torch.from_numpy(kept), error, self._product(step, way, wide, exact))

    def _product(
        self, step: Step, way: _Way, value: NDArray[np.float64], exact: NDArray[np.float64]
    ) -> RoundedProduct | None:
        """How a product in few bits departs from its exact value; None of others, and where that costs nothing."""
        if not step.schemes:
            return None
        (x,) = (self._source(source, way, "exact") for source in step.sources)
        ways = [scheme(self._weight, x).numpy() for scheme in step.schemes]
        costs = [rms(rounded - exact) for rounded in ways]
        if min(costs) <= _FLOAT32 * rms(exact):
            return None
        beside = min(rms(value - rounded) / cost for rounded, cost in zip(ways, costs, strict=True))
        weight, bias = (self._weight(f"{step.site}.{part}").numpy() for part in ("weight", "bias"))
        size = np.abs(x.numpy()).max(axis=-1, keepdims=True) / _STEPS
        directions = np.stack([(exact - bias).ravel(), (size * weight.sum(axis=1)).ravel()])
        gain, shift = np.linalg.lstsq(directions.T, (value - exact).ravel(), rcond=None)[0]
        return RoundedProduct(beside, float(gain), float(shift))

    def _value(self, site: str, way: _Way, kind: _Kind) -> Tensor:
        """A stage's value from the port's own earlier ones: exact, in float32, or in a coarse way."""
        key = (site, kind, way & self._open(site))
        if key not in self._computed:
            step = self._steps[site]
            sources = [self._source(source, way, kind) for source in step.sources]
            compute = step.coarsely(kind) if isinstance(kind, int) else step.compute
            weight = self._weight if kind == "exact" else lambda name: self._weight(name).float()
            self._computed[key] = compute(weight, *sources)
        return self._computed[key]

    def _source(self, site: str, way: _Way, kind: _Kind) -> Tensor:
        if site in self._known or site in way:
            value = self._known[site] if site in self._known else self._undecided[site].value
            return value.double() if kind == "exact" else value.float()
        return self._value(site, way, kind)

    def _open(self, site: str) -> frozenset[str]:
        """Undecided stages that a stage's exact value depends on."""
        if site not in self._open_ones:
            sources = [source for source in self._steps[site].sources if source not in self._known]
            before = frozenset().union(*(self._open(source) for source in sources))
            self._open_ones[site] = before | (self._undecided.keys() & set(sources))
        return self._open_ones[site]

    def _unknown(self, site: str, way: _Way = _NOTHING) -> set[str]:
        """A stage and those before it, back to the port's own values: what is computed between."""
        found, ahead = set[str](), [site]
        while ahead:
            here = ahead.pop()
            if here not in found:
                found.add(here)
                ahead += [s for s in self._steps[here].sources if s not in self._known and s not in way]
        return found

    def _believe(self, site: str) -> None:
        """A value that is off is the port's: what follows is judged by what it made of that."""
        found = self._undecided[site]
        self._report(self._steps[site], found)
        self._forget(site)
        self._known[site] = found.value
        self._open_ones.clear()

    def _forget(self, site: str) -> None:
        """An undecided stage is decided; what was computed from either assumption goes."""
        for key in [key for key in self._computed if site in self._open(key[0])]:
            del self._computed[key]
        del self._undecided[site]
        self._open_ones.clear()

    def _drop(self, site: str) -> None:
        """What is known need not be computed again."""
        for key in [key for key in self._computed if key[0] == site]:
            del self._computed[key]

    def _report(self, step: Step, found: _Found) -> None:
        passed = self._unknown(step.site, found.way) - {step.site}
        between = tuple(f"{s.stage}, {s.operator}" for s in self._steps.values() if s.site in passed)
        self._results[step.site] = replace(
            self._results[step.site],
            value=found.name,
            between=between,
            error=found.error,
            product=found.product,
        )
