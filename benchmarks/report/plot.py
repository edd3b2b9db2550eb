"""One picture of all results: the promises, and how time and memory grow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.report.results import Curve, Row, Session

OURS, OTHER, LIMIT = "#0072b2", "#999999", "#d55e00"
KINDS = (
    ("inference", "s"),
    ("inference", "MiB"),
    ("converting", "s"),
    ("converting", "MiB"),
    ("verifying", "s"),
    ("verifying", "MiB"),
    ("verifying long clips", "s"),
    ("verifying long clips", "MiB"),
)


def plot(sessions: Mapping[str, Session], path: Path) -> None:
    """Ratios with their limits on top, then a panel for each kind of curve that was measured."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "aves"
    import matplotlib.pyplot as plt

    rows = [row for each in sessions.values() for row in each.part.rows if row.allowed is not None and row.ratio]
    curves = [curve for each in sessions.values() for curve in each.part.curves]
    growth = {kind: [each for each in curves if (each.what, each.unit) == kind] for kind in KINDS}
    measured = {kind: some for kind, some in growth.items() if some}
    height = 1 + 0.24 * max(len(rows), 1)
    heights = [height, 7] if measured else [height]
    figure = plt.figure(figsize=(11, sum(heights)), layout="constrained")
    top, *below = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).flat
    _promises(top.subplots(), rows)
    for part in below:  # of what grows, time and memory are measured together: a column for each
        panels = part.subplots(2, len(measured) // 2, squeeze=False).T.flat
        for axes, (kind, some) in zip(panels, measured.items(), strict=True):
            _growth(axes, *kind, some)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _promises(axes: Any, rows: list[Row]) -> None:
    labels = [f"{row.what}  ({row.peer})" for row in rows]
    colors = [LIMIT if row.met is False else OURS for row in rows]
    axes.barh(labels, [row.ratio for row in rows], color=colors, height=0.6)
    axes.scatter(
        [row.allowed for row in rows], range(len(rows)), marker="|", s=160, color="black", label="allowed", zorder=3
    )
    axes.axvline(1, color=OTHER, linewidth=1)
    axes.invert_yaxis()
    axes.set_title("ours over the peer's")
    axes.tick_params(axis="y", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    if rows:
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1))


def _growth(axes: Any, what: str, unit: str, curves: list[Curve]) -> None:
    for curve in curves:
        axes.plot(curve.xs, curve.ys, marker="o", markersize=4, label=curve.who)
    axes.set_title(f"{what}: {'seconds' if unit == 's' else 'peak MiB'}", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(curves[0].size)
    axes.legend(frameon=False, fontsize=8)
    wide = curves[0].xs[-1] / curves[0].xs[0] > 500
    if wide:
        axes.set_xscale("log")
    if wide and unit == "s":  # so that a straight line does not look like a bend
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
