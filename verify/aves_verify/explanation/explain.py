"""Finding where a port's error begins: its inner values against the exact ones, point by point. Knows no framework.

A graph from elsewhere has names of its own, so a point is found by its value: the port's array of the same size, in
either layout, that is closest to the exact one. Operators that a graph has merged with their neighbours leave no value,
and are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.messages import printable
from aves_verify.comparison.noise import rms
from aves_verify.explanation.points import GROUP_NORM, Point

# A value farther than this from the exact one, relative to its RMS, is another value: correct neighbours (before and
# after a norm, a residual sum and its larger part) differ by more.
SAME_VALUE = 0.05
# Our graphs have at most 1.4 times torch's own error at any point; an ordinary export's group norm has 2.6 to 13.
DEPARTURE = 2.0
# An error that begins in one place and is so many times larger after another one was made there. What an ordinary
# export's norm begins grows by 1.1 to 3 until the end.
GROWTH = 30.0

# What an ordinary export makes of the norm over the whole clip, and what to do about it.
_GROUP_NORM = (
    ". ONNX Runtime sums this norm over the whole clip in float32, which a constant offset makes worse: write the "
    "graph with aves-convert's own exporter, or take the offset out of the recordings"
)

_EPS = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class PointError:
    """A port's error at one point, and float32's own, both RMS relative to the exact value's RMS."""

    stage: str
    operator: str
    site: str  # TorchAudio's module
    value: str | None  # the port's name of the closest value; None where it has none of this size
    own: float
    port: float | None

    @property
    def ratio(self) -> float | None:
        """The port's error as a multiple of float32's own."""
        return None if self.port is None else self.port / self.own

    @property
    def found(self) -> bool:
        """Whether the port computes this value, more or less."""
        return self.port is not None and self.port <= SAME_VALUE

    @property
    def departs(self) -> bool:
        """Whether the port computes this value with an error that float32 does not explain."""
        return self.found and self.ratio is not None and self.ratio > DEPARTURE


@dataclass(frozen=True)
class Explanation:
    """A port's error along the encoder, on one clip."""

    backend: str
    clip: str
    seconds: float  # of the clip that were looked at
    stages: tuple[PointError, ...]
    partly: bool = False  # whether the clip is longer than that
    failure: str = ""  # why nothing could be looked at

    @property
    def first(self) -> PointError | None:
        """The first point whose error is not float32's own; None when there is none."""
        last_found = max((i for i, s in enumerate(self.stages) if s.found and not s.departs), default=-1)
        for i, stage in enumerate(self.stages):
            if stage.departs or (not stage.found and i > last_found):
                return stage
        return None

    @property
    def grows(self) -> PointError | None:
        """The point after the first whose error is most above all before it; None where none is by much."""
        largest, most, found = 1.0, GROWTH, None
        for stage in (s for s in self.stages if s.found and s.ratio is not None):
            ratio = stage.ratio or 0.0
            if ratio >= most * largest and stage != self.first:
                most, found = ratio / largest, stage
            largest = max(largest, ratio)
        return found

    @property
    def lost(self) -> PointError | None:
        """The point from which on the port computes something else, up to its output; None where that is right.

        Of outputs beside the embeddings each is an end.
        """
        named = (stage for stage in self.stages if stage.stage.startswith("output ") and not stage.found)
        if (wrong := next(named, None)) is not None:
            return wrong
        last = max((i for i, stage in enumerate(self.stages) if stage.found), default=-1)
        return self.stages[last + 1] if last + 1 < len(self.stages) else None

    @property
    def text(self) -> str:
        """The explanation in one sentence or two."""
        where = f"{self.backend}, clip {self.clip}" + (f", its first {self.seconds:.3g} s" if self.partly else "")
        if self.failure:
            return f"{where}: not explained: {self.failure}"
        first, grows, lost = self.first, self.grows, self.lost
        if first is None:
            largest = max((s for s in self.stages if s.found), key=lambda s: s.ratio or 0.0)
            return (
                f"{where}: no stage departs from float32's own rounding; the largest is {largest.ratio:.1f} times it, "
                f"in {largest.stage}, {largest.operator}"
            )
        if not first.found:
            return f"{where}: from {_place(first)} on, the port computes something else"
        told = [f"{where}: the error begins in {_place(first)}: {first.ratio:.3g} times float32's own there"]
        if grows:
            told.append(f"most of it comes in {_place(grows)}: {grows.ratio:.3g} times")
        if lost:
            told.append(f"from {_place(lost)} on, the port computes something else")
        else:
            told.append(f"{self.stages[-1].ratio:.3g} times at the end")
        return "; ".join(told) + (_GROUP_NORM if self._is_ordinary_export else "")

    @property
    def _is_ordinary_export(self) -> bool:
        """Does it look like one: an ONNX graph whose error is that of the group norm?"""
        first = self.first
        begins = self.backend == "onnx" and first is not None and first.found and first.operator == GROUP_NORM
        return begins and self.grows is None and self.lost is None


def _place(stage: PointError) -> str:
    place = f"{stage.stage}, {stage.operator} ({stage.site})"
    same = stage.value in (None, stage.site) or not stage.found
    return place if same else f"{place}, the graph's {printable(str(stage.value))}"


def explain(
    points: Sequence[Point],
    exact: Mapping[str, NDArray[np.float64]],
    own: Mapping[str, NDArray[np.float32]],
    port: Mapping[str, NDArray[Any]],
    *,
    backend: str,
    clip: str,
    seconds: float,
    partly: bool = False,
) -> Explanation:
    """Compare a port's inner values, under whatever names, with the exact ones at ``points``.

    ``exact`` and ``own`` are the original encoder's in float64 and float32, by site; all are of one waveform in a batch
    of one, ``partly`` of a longer clip.
    """
    by_size: dict[int, list[tuple[str, NDArray[Any]]]] = {}
    returned = {point.site for point in points if point.is_output}
    for name, value in port.items():
        if name in returned:
            continue  # what a port returns is that alone, and cannot be found elsewhere
        by_size.setdefault(value.size, []).append((name, value))
    stages = []
    for point in points:
        answer = np.squeeze(exact[point.site])
        scale = max(rms(answer), float(np.finfo(np.float32).tiny))
        rounding = max(rms(np.squeeze(own[point.site]) - answer) / scale, _EPS / 4)
        candidates = by_size.get(answer.size, [])
        if point.site in returned:
            candidates = [(point.site, port[point.site])] if point.site in port else []
        nearest, error = _closest(answer, candidates)
        relative = None if nearest is None else error / scale
        stages.append(PointError(point.stage, point.operator, point.site, nearest, rounding, relative))
    return Explanation(backend, clip, seconds, tuple(stages), partly)


def _closest(answer: NDArray[np.float64], candidates: Sequence[tuple[str, NDArray[Any]]]) -> tuple[str | None, float]:
    """The name and RMS error of the candidate nearest to the answer; a few elements of each decide which to look at."""
    step = tuple(slice(None, None, max(1, size // 24)) for size in answer.shape)
    sample = answer[step]
    arranged = [(name, view) for name, value in candidates for view in _layouts(value, answer.shape)]
    ranked = sorted(arranged, key=lambda item: _error(item[1][step], sample))[:3]
    errors = [(_error(view, answer), name) for name, view in ranked]
    if not errors:
        return None, np.inf
    error, nearest = min(errors)
    return (nearest, error) if np.isfinite(error) else (None, np.inf)


def _layouts(value: NDArray[Any], shape: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    """Views of a value in the wanted shape: as it is, or with time and channels exchanged."""
    squeezed = np.squeeze(value)
    for view in (squeezed, squeezed.T):
        if view.shape == shape:
            yield view
        if squeezed.ndim < 2:
            break


def _error(a: NDArray[Any], b: NDArray[np.float64]) -> float:
    error = rms(a.astype(np.float64) - b)
    return error if np.isfinite(error) else np.inf
