"""Drawing all differences of a corpus by their size, and its windows by their error ratio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.bundle.outputs import FINAL
from aves_verify.report.corpus import Histogram, OutputTotals
from aves_verify.report.pictures.svg import INK, Picture, look_of, picture, plain_powers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = NDArray[np.float64]
_TOLD = (0.5, 0.999)  # quantiles of differences
_PALE = 0.45
_NOTHING = 1e-30  # the first bin of differences has those that are none
_SMALLEST = 1e-12  # drawn; what is below is far under all rounding


def chosen(totals: Sequence[OutputTotals]) -> list[OutputTotals]:
    """One output of each port, by which it is known: the final one where there is one."""
    found: dict[str, OutputTotals] = {}
    for total in totals:
        if total.layer == FINAL or total.backend not in found:
            found[total.backend] = total
    return list(found.values())


def differences_picture(identity: str, totals: Sequence[OutputTotals], atol: Mapping[str, float]) -> Picture | None:
    """Draw which share of each output's elements differs by more than a size; ``atol``: what is allowed, by port.

    None where nothing differs.
    """
    drawn = [(total, *_beyond(total.differences)) for total in totals if _beyond(total.differences)[0].size]
    if not drawn:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_yscale("log")
        known = chosen([total for total, _, _ in drawn])
        for total, sizes, shares in drawn:
            _curve(axes.plot, total, known, sizes, shares)
        for backend, limit in atol.items():
            axes.axvline(limit, color=look_of(backend).colour, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set_xlabel(f"|diff|{' (dashed: absolute tolerance)' if atol else ''}")
        axes.set_ylabel("share that differs by more")
        axes.set_xlim(left=max(_SMALLEST, axes.get_xlim()[0]))
        _finish(axes)

    told = "; ".join(
        f"{_name(total)}: half at most {_quantile(total.differences, _TOLD[0])}, 999 of 1,000 at most "
        f"{_quantile(total.differences, _TOLD[1])}"
        for total in chosen([total for total, _, _ in drawn])
    )
    elements = max(total.elements for total, _, _ in drawn)
    caption = (
        f"Of {elements:,} values, the share that differs from the original by more than a size. {told}.{_thin(totals)}"
    )
    return picture(identity, "Differences by size", caption, 2.9, draw)


def ratios_picture(identity: str, totals: Sequence[OutputTotals], limits: Mapping[str, float]) -> Picture | None:
    """Draw how many windows have which error ratio; ``limits`` by port. None where none has one."""
    drawn = [total for total in totals if any(total.ratios.counts)]
    if not drawn:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_yscale("log")
        known = chosen(drawn)
        for total in drawn:
            _curve(axes.step, total, known, *_stairs(total.ratios), where="post")
        axes.axvline(1, color=INK, linewidth=1.2)
        for backend, limit in limits.items():
            axes.axvline(limit, color=look_of(backend).colour, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set_ylim(bottom=0.7)
        axes.set_xlabel("error ratio (dashed: allowed)")
        axes.set_ylabel("windows")
        _finish(axes)

    told = "; ".join(f"{_name(total)}: {_over(total)}" for total in chosen(drawn))
    caption = (
        "Windows by the port's error against the same encoder in float64, as a multiple of the original's own. "
        f"{told}.{_thin(drawn)}"
    )
    return picture(identity, "Windows by error ratio", caption, 2.9, draw)


def _curve(
    plot: Callable[..., object], total: OutputTotals, known: Sequence[OutputTotals], x: Values, y: Values, **how: str
) -> None:
    """One output's curve; those beside the one that its port is known by are thin and pale."""
    look = look_of(total.backend)
    if total in known:
        plot(x, y, linestyle=look.dash, color=look.colour, label=_name(total), zorder=3, **how)
    else:
        plot(x, y, linestyle="-", color=look.colour, linewidth=0.7, alpha=_PALE, **how)


def _finish(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    plain_powers(axes, "x", "y")


def _beyond(found: Histogram) -> tuple[Values, Values]:
    """Sizes, and the share of elements beyond each, from where some are below; empty where all differences are none.

    Those that are none are left aside: from nothing to the smallest of the others is half the range of numbers.
    """
    edges, counts = np.array(found.edges), np.array(found.counts, np.float64)
    shares = np.cumsum(counts[::-1])[::-1] / max(counts.sum(), 1.0)
    kept = np.flatnonzero((edges[:-1] > 0) & np.isfinite(edges[:-1]) & (shares > 0))
    if kept.size:
        kept = kept[max(0, int(np.argmin(shares[kept] >= 0.99 * shares[kept[0]])) - 2) :]
    return edges[kept], shares[kept]


def _stairs(found: Histogram) -> tuple[Values, Values]:
    """Edges and counts of what is occupied, down to nothing on both sides; zeros are under the axis."""
    counts = np.array(found.counts, np.float64)
    edges = np.array(found.edges)
    if edges[0] <= 0:
        edges[0] = edges[1] / 2
    if not np.isfinite(edges[-1]):
        edges[-1] = edges[-2] * 2
    occupied = np.flatnonzero(counts)
    first, last = int(occupied[0]), int(occupied[-1]) + 1
    inside = np.maximum(counts[first:last], 1e-3)
    return np.array([edges[first], *edges[first : last + 1]]), np.array([1e-3, *inside, 1e-3])


def _quantile(found: Histogram, share: float) -> str:
    """The upper edge of the bin in which this share is reached."""
    seen = np.cumsum(np.array(found.counts, np.float64))
    at = int(np.searchsorted(seen, share * seen[-1]))
    return "0" if found.edges[at + 1] < _NOTHING else f"{found.edges[at + 1]:.1e}"


def _over(total: OutputTotals) -> str:
    """How many windows have more error than the original, and the largest error."""
    counts = np.array(total.ratios.counts)
    edges = np.array(total.ratios.edges)
    over = int(counts[edges[:-1] >= 1].sum())
    return f"{over:,} of {total.measured:,} over 1, none over {edges[int(np.flatnonzero(counts)[-1]) + 1]:.2g}"


def _name(total: OutputTotals) -> str:
    return total.backend if total.layer == FINAL else f"{total.backend}, {total.layer}"


def _thin(totals: Sequence[OutputTotals]) -> str:
    return " Thin: the other outputs of the same port." if len(chosen(totals)) < len(totals) else ""
