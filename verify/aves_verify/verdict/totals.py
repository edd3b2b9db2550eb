"""Adding up what parts hold, output by output: nothing depends on their order, and nothing is kept that grows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aves_artifacts.bundle.report_document import STATUSES
from aves_convert.reduction.cost import Cost
from aves_verify.comparison.compare import Bound, Comparison, Flips, Quantiles, Tolerance
from aves_verify.comparison.noise import NearZero, NoiseFloor
from aves_verify.parts.differences import BINS, added, quantile, upper_edge
from aves_verify.parts.table import as_record
from aves_verify.report.corpus import Histogram, OutputTotals
from aves_verify.verdict.exact_sum import ExactSum
from aves_verify.verdict.grids import RATIOS, Grids

_SIZES = ("max_abs", "max_rel", "mean_abs", "min_tolerance")
_LARGEST = 1e75  # of a number that is squared and added up; what encoders give are thirty digits at most
_SUMS = ("squares", "reference_squares", "differences", "port_errors", "own_errors", "exact")


@dataclass
class Totals:
    """One output of one port, over all windows that were given to ``add``."""

    backend: str
    layer: str
    windows: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    elements: int = 0
    measured: int = 0
    sums: dict[str, ExactSum] = field(default_factory=lambda: {name: ExactSum() for name in _SUMS})
    counts: dict[int, int] = field(default_factory=dict)  # of differences, by bin
    largest: dict[str, float] = field(default_factory=dict)
    smallest: dict[str, float] = field(default_factory=dict)
    near_zero: Counter[str] = field(default_factory=Counter)
    flips: Counter[str] = field(default_factory=Counter)
    grids: Grids = field(default_factory=Grids)
    kept: dict[str, Any] = field(default_factory=dict)  # what is the same for all: the reference, what it is held to

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in a row of a part that is a comparison of this output. Raises ValueError for what is none."""
        _check(row)
        self.windows += 1
        self.statuses[row["status"]] += 1
        self._keep(row)
        for name in _SIZES:
            self._larger(name, row[name])
        self._smaller("cosine_min", row["cosine_min"])
        if row["elements"] is not None:
            self._sum(row)
        if row["near_zero"] is not None:
            self._near(row["near_zero"])
        if row["cost"] is not None:
            for name, value in row["cost"].items():
                self._smaller(name, value)
        if row["flips"] is not None:
            self.flips.update({name: row["flips"][name] for name in ("frames", "flipped", "unexplained")})
        if row["error_ratio"] is not None:
            self.grids.add(row["error_ratio"], row["level"], row["samples"], row["offset"])

    def add_counts(self, counts: Mapping[int, int]) -> None:
        """Take in a part's differences by size. Raises ValueError for sizes or numbers that cannot be."""
        if not all(0 <= index < BINS and count >= 0 for index, count in counts.items()):
            raise ValueError("differences of a size, or of a number, that cannot be")
        self.counts = added([self.counts, counts])

    def comparison(self, clip: str, reason: str) -> Comparison:
        """All of it as one comparison, under this name."""
        status = max(self.statuses, key=lambda each: STATUSES.index(each))
        bound, flips = self.kept["bound"], None
        if self.flips:
            flips = Flips(self.flips["frames"], self.flips["flipped"], self.flips["unexplained"])
        whole = self.elements > 0
        noise = self._noise()
        return Comparison(
            self.backend,
            self.kept["reference"],
            clip,
            self.layer,
            as_record(Tolerance, self.kept["tolerance"]),
            status,  # type: ignore[arg-type]
            reason,
            max_abs=self.largest["max_abs"],
            max_rel=self.largest["max_rel"],
            mean_abs=self.sums["differences"].value / self.elements if whole else self.largest["mean_abs"],
            cosine_min=self.smallest["cosine_min"],
            min_tolerance=self.largest["min_tolerance"],
            snr_db=self._snr(),
            error_ratio=None if noise is None else noise.ratio,
            noise=noise,
            quantiles=Quantiles(*(quantile(self.counts, share) for share in (0.5, 0.9, 0.99, 0.999)))
            if self.counts
            else None,
            near_zero=self._near_zero(),
            flips=flips,
            bound=None if bound is None else as_record(Bound, bound),
            cost=Cost(**{name: self.smallest[name] for name in Cost.__dataclass_fields__})
            if "snr" in self.smallest
            else None,
        )

    def totals(self) -> OutputTotals:
        """All of it as what a report tells."""
        noise = self._noise()
        edges = sorted({edge for index in self.counts for edge in (index, index + 1)})
        return OutputTotals(
            self.backend,
            self.layer,
            self.windows,
            {status: self.statuses[status] for status in STATUSES if self.statuses[status]},
            self.elements,
            math.sqrt(self.sums["squares"].value / self.elements) if self.elements else math.inf,
            self.measured,
            None if noise is None else noise.ratio,
            Histogram(
                tuple(0.0 if edge == 0 else upper_edge(edge - 1) for edge in edges),
                tuple(self.counts.get(edge, 0) for edge in edges[:-1]),
            ),
            Histogram(RATIOS, self.grids.ratios),
            self.grids.found(),
        )

    def _keep(self, row: Mapping[str, Any]) -> None:
        held_to = {name: row[name] for name in ("reference", "tolerance", "bound")}
        if held_to.items() <= self.kept.items():
            return
        as_record(Tolerance, held_to["tolerance"])
        if held_to["bound"] is not None:
            as_record(Bound, held_to["bound"])
        self.kept.update(held_to)

    def _sum(self, row: Mapping[str, Any]) -> None:
        elements = row["elements"]
        self.elements += elements
        self.sums["squares"].add([row["squares"]])
        self.sums["reference_squares"].add([row["reference_squares"]])
        self.sums["differences"].add([elements * row["mean_abs"]])
        noise = row["noise"]
        if noise is not None:
            self.measured += 1
            for name, value in (("port_errors", "port"), ("own_errors", "reference"), ("exact", "scale")):
                self.sums[name].add([elements * noise[value] ** 2])
            self.largest["measured"] = self.largest.get("measured", 0) + elements
            self._larger("peak", noise["reference_peak"])

    def _near(self, found: Mapping[str, Any]) -> None:
        self.near_zero.update({name: found[name] for name in ("elements", "flagged")})
        for name in ("threshold", "max_rel", "max_abs"):
            self._larger(f"near_{name}", found[name])

    def _near_zero(self) -> NearZero | None:
        if "near_threshold" not in self.largest:
            return None
        threshold, max_rel, max_abs = (self.largest[f"near_{name}"] for name in ("threshold", "max_rel", "max_abs"))
        return NearZero(threshold, self.near_zero["elements"], self.near_zero["flagged"], max_rel, max_abs)

    def _noise(self) -> NoiseFloor | None:
        if not self.measured:
            return None
        elements = self.largest["measured"]
        port, own, exact = (
            math.sqrt(self.sums[name].value / elements) for name in ("port_errors", "own_errors", "exact")
        )
        return NoiseFloor(port, own, self.largest["peak"], exact)

    def _snr(self) -> float | None:
        signal, noise = self.sums["reference_squares"].value, self.sums["squares"].value
        return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None

    def _larger(self, name: str, value: float) -> None:
        self.largest[name] = max(self.largest.get(name, -math.inf), value)

    def _smaller(self, name: str, value: float) -> None:
        self.smallest[name] = min(self.smallest.get(name, math.inf), value)


def _check(row: Mapping[str, Any]) -> None:
    """Raise ValueError for numbers that no comparison gives."""
    sizes = [row[name] for name in _SIZES]
    if not all(size >= 0 for size in sizes) or math.isnan(row["cosine_min"]):
        raise ValueError("a number is NaN or negative, which no comparison gives")
    if row["elements"] is None:
        return
    noise = row["noise"] or {}
    squared = [row["mean_abs"], *(noise[name] for name in ("port", "reference", "scale", "reference_peak") if noise)]
    added_up = [row["squares"], row["reference_squares"]]
    if row["elements"] < 1 or not all(0 <= value <= _LARGEST**2 for value in added_up):
        raise ValueError("a sum of squares that cannot be")
    if not all(0 <= value <= _LARGEST for value in squared):
        raise ValueError("an error that cannot be")
