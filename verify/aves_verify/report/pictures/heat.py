"""Drawing how often error ratios occur with what a window sounds like, as cells whose colours count windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aves_verify.report.corpus import Grid, OutputTotals
from aves_verify.report.pictures.svg import HEAT, INK, Picture, picture, power

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OF = {
    "level": ("level", "level, dB of full scale"),
    "seconds": ("length", "length, seconds"),
    "offset": ("|offset|", "|offset|, full scale is 1"),
}
_MOST_TICKS = 6


@dataclass(frozen=True)
class _Panel:
    """The part of a grid in which something is, and one empty cell around it."""

    grid: Grid
    counts: NDArray[np.int64]  # [sound, ratio], all of them
    columns: range
    rows: range

    @classmethod
    def of(cls, grid: Grid) -> _Panel:
        counts = np.array(grid.counts, np.int64).reshape(len(grid.edges) - 1, len(grid.ratio_edges) - 1)
        return cls(grid, counts, _around(counts.sum(axis=1)), _around(counts.sum(axis=0)))

    @property
    def tells(self) -> bool:
        """Whether windows differ in this at all."""
        return int(np.count_nonzero(self.counts.sum(axis=1))) > 1


def heat_picture(identity: str, total: OutputTotals, limit: float) -> Picture | None:
    """Draw the error ratio against level, length and offset; None where windows do not differ in any of them.

    ``limit``: the error ratio that is allowed.
    """
    panels = [panel for panel in map(_Panel.of, total.grids) if panel.tells]
    if not panels:
        return None
    rows = range(min(panel.rows.start for panel in panels), max(panel.rows.stop for panel in panels))
    steps = _steps(max(int(panel.counts.max()) for panel in panels))

    def draw(figure: Figure) -> None:
        every = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, panel in zip(every, panels, strict=True):
            _draw(axes, panel, rows, steps, limit)
        _legend(every[0], panels, steps)

    alike = [_OF[panel.grid.of][0] for panel in map(_Panel.of, total.grids) if not panel.tells]
    rest = f" Windows are alike in {' and '.join(alike)}." if alike else ""
    line = ", dashed: what is allowed" if any(_is_shown(panel, rows, limit) for panel in panels) else ""
    caption = (
        "The colour tells how many windows have which error ratio, by what they sound like. "
        f"The median in the lowest and in the highest quarter of windows: {', '.join(map(_told, panels))}. "
        f"The line is at 1{line}. What lies beyond an axis is counted at its edge.{rest}"
    )
    named = total.backend if total.layer == "final" else f"{total.backend}, {total.layer}"
    return picture(identity, f"{named}: error ratio by sound", caption, 0.5 + 1.55 * len(panels), draw)


def _draw(axes: Axes, panel: _Panel, rows: range, steps: Sequence[int], limit: float) -> None:
    """Cells of the same size, whatever their edges: those may be 0 or infinite, or far apart."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    found = _step_of(panel.counts, steps)
    for step, colour in enumerate(HEAT):
        runs = _runs(found == step)
        if runs:
            corners = [[(a, row), (b, row), (b, row + 1), (a, row + 1), (a, row)] for row, a, b in runs]
            codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(runs)
            path = Path(np.array(corners, np.float64).reshape(-1, 2), codes)
            axes.add_patch(PathPatch(path, facecolor=colour, edgecolor=colour, linewidth=0.3))
    for value, style in ((1.0, "-"), (limit, (0, (4, 3)))):
        if _is_shown(panel, rows, value):
            axes.axhline(_places(panel.grid.ratio_edges, [value])[0], color=INK, linewidth=1, linestyle=style)
    axes.set_xlim(panel.columns.start, panel.columns.stop)
    axes.set_ylim(rows.start, rows.stop)
    axes.set_xticks(*_ticks(panel.grid.edges, panel.columns))
    axes.set_yticks(*_ticks(panel.grid.ratio_edges, rows))
    axes.set_xlabel(_OF[panel.grid.of][1])
    axes.set_ylabel("error ratio")


def _legend(axes: Axes, panels: Sequence[_Panel], steps: Sequence[int]) -> None:
    from matplotlib.patches import Patch

    seen = sorted({int(step) for panel in panels for step in np.unique(_step_of(panel.counts, steps)) if step >= 0})
    handles = [Patch(facecolor=HEAT[step], edgecolor="none", label=_counts(step, steps)) for step in seen]
    axes.legend(
        handles=handles,
        title="windows",
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=4 if len(seen) <= 4 else 3,
        borderaxespad=0.2,
        columnspacing=1.2,
        handlelength=1.4,
        alignment="left",
        title_fontsize=8.5,
    )


def _steps(most: int) -> list[int]:
    """The least count of each colour: powers of the smallest base with which the colours suffice."""
    base = next((base for base in (2, 4) if most < base ** len(HEAT)), 10)
    return [base**i for i in range(len(HEAT))]


def _step_of(counts: NDArray[np.int64], steps: Sequence[int]) -> NDArray[np.int64]:
    """Which colour each count has; -1 for none."""
    return np.searchsorted(steps, counts, side="right").astype(np.int64) - 1


def _counts(step: int, steps: Sequence[int]) -> str:
    if step == len(steps) - 1:
        return f"{steps[step]:,} or more"
    last = steps[step + 1] - 1
    return f"{steps[step]:,}" if last == steps[step] else f"{steps[step]:,}–{last:,}"  # noqa: RUF001 - an en dash


def _around(counts: NDArray[np.int64]) -> range:
    """Where something is, and one place more on either side."""
    found = np.flatnonzero(counts)
    if not found.size:
        return range(len(counts))
    return range(max(0, int(found[0]) - 1), min(len(counts), int(found[-1]) + 2))


def _runs(cells: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """Row, first column, and the column behind the last of each run of cells [column, row]; as one it has no seam."""
    padded = np.pad(cells.astype(np.int8), ((1, 1), (0, 0)))
    change = np.diff(padded, axis=0).T  # [row, edge]
    begins, ends = np.argwhere(change == 1), np.argwhere(change == -1)
    return [(int(row), int(a), int(b)) for (row, a), (_, b) in zip(begins, ends, strict=True)]


def _is_shown(panel: _Panel, rows: range, ratio: float) -> bool:
    edges = panel.grid.ratio_edges
    return edges[rows.start] <= ratio <= edges[rows.stop] and ratio < np.inf


def _places(edges: Sequence[float], values: Sequence[float]) -> list[float]:
    """Where finite values lie among the edges, in cells: by their logarithms, unless all cells are of one size."""
    found = np.array(edges)
    known = np.isfinite(found) & ((found > 0) | _is_linear(edges))
    scale = np.asarray if _is_linear(edges) else np.log
    return [float(np.interp(scale(value), scale(found[known]), np.flatnonzero(known))) for value in values]


def _is_linear(edges: Sequence[float]) -> bool:
    """Whether all cells are of one size."""
    steps = np.diff([edge for edge in edges if np.isfinite(edge)])
    return steps.size > 0 and bool(np.allclose(steps, steps[0]))


def _ticks(edges: Sequence[float], shown: range) -> tuple[list[float], list[str]]:
    """Round numbers among the edges, and the ends where those are 0 or infinite."""
    from matplotlib.ticker import MaxNLocator

    inside = [edge for edge in edges[shown.start : shown.stop + 1] if np.isfinite(edge)]
    if _is_linear(edges):
        found = MaxNLocator(_MOST_TICKS - 1).tick_values(inside[0], inside[-1])
        values = [float(value) for value in found if inside[0] <= value <= inside[-1]]
        names = [f"{value:g}" for value in values]
    else:
        values = _round([edge for edge in inside if edge > 0])
        names = [power(value) for value in values]
    places = _places(edges, values)
    gap = len(shown) / 10  # under this, two numbers would lie on one another
    for place, name in ((shown.start, "0" if edges[shown.start] == 0 else ""), (shown.stop, _end(edges[shown.stop]))):
        if name and all(abs(place - other) > gap for other in places):
            places, names = [*places, float(place)], [*names, name]
    return places, names


def _end(edge: float) -> str:
    return "" if np.isfinite(edge) else "∞"


def _round(inside: Sequence[float]) -> list[float]:
    """As many of 1, 2, 5, 10 and so on as lie inside and are not too many."""
    if not inside:
        return []
    low, high = inside[0], inside[-1]
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for ladder in ((1, 2, 5), (1, 3), (1,)):
        values = [step * 10.0**decade for decade in decades for step in ladder]
        values = [value for value in values if low * 0.999 <= value <= high * 1.001]
        if len(values) <= _MOST_TICKS:
            return values
    return values[:: -(-len(values) // _MOST_TICKS)]


def _told(panel: _Panel) -> str:
    """The median of the error ratio in the lowest and in the highest quarter of the windows."""
    seen = np.cumsum(panel.counts.sum(axis=1))
    low = int(np.searchsorted(seen, seen[-1] / 4))
    high = min(int(np.searchsorted(seen, seen[-1] * 3 / 4, side="right")), len(seen) - 1)
    below = _middle(panel.grid, panel.counts[: low + 1].sum(axis=0))
    above = _middle(panel.grid, panel.counts[high:].sum(axis=0))
    return f"by {_OF[panel.grid.of][0]} {below} and {above}"


def _middle(grid: Grid, counts: NDArray[np.int64]) -> str:
    """The median, found between the edges of its cell by the windows below."""
    seen = np.cumsum(counts)
    at = int(np.searchsorted(seen, seen[-1] / 2))
    low, high = grid.ratio_edges[at], grid.ratio_edges[at + 1]
    if not 0 < low < high < np.inf:
        return f"under {high:.2g}" if low <= 0 else f"over {low:.2g}"
    share = (seen[-1] / 2 - (seen[at] - counts[at])) / counts[at]
    return f"{low * (high / low) ** share:.2g}"
