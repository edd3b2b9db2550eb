"""Drawing the size of each output against its relative difference, to show what drifts near zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aves_verify.comparison.compare import Comparison
from aves_verify.comparison.evidence import Evidence
from aves_verify.comparison.noise import FLOAT32, OWN_ROUNDING, RELATIVE
from aves_verify.report.numbers import allowed
from aves_verify.report.pictures.svg import BAD, DRIFT, INK, MUTED, SHADE, Picture, picture, plain_powers
from aves_verify.report.summary import Port

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Values = NDArray[np.float64]

_CELLS = 110  # dots that fall into one cell of a grid of this many by this many are drawn as one
_MOST_MARKED = 200  # markers of one kind


def near_zero_picture(identity: str, port: Port) -> Picture | None:
    """Draw the elements of one port on all clips; None where there are none."""
    evidence = port.config.evidence
    seen = [
        (c, evidence[port.backend, c.clip])
        for c in port.comparisons
        if c.layer == "final" and c.near_zero and (port.backend, c.clip) in evidence
    ]
    if not seen:
        return None
    size = np.concatenate([e.reference for _, e in seen]).astype(np.float64)
    difference = np.concatenate([e.difference for _, e in seen]).astype(np.float64)
    kind = np.concatenate([kinds(c, e) for c, e in seen])
    drawn = difference > 0
    if not drawn.any():
        return _nothing(identity, port, len(difference), len(seen))
    threshold = max(c.near_zero.threshold for c, _ in seen if c.near_zero is not None)
    loosest = max((c for c, _ in seen), key=lambda c: allowed(c, 0.0))
    floor = max(float(FLOAT32.tiny), float(size.max()) * 1e-9)
    x = np.maximum(size[drawn], floor)
    y = difference[drawn] / x

    def draw(figure: Figure) -> None:
        _draw(figure, x, y, kind[drawn], loosest, threshold)

    return picture(
        identity,
        f"{port.backend}: relative difference where outputs are small",
        _caption(port, kind, len(seen), threshold),
        3.7,
        draw,
    )


def kinds(comparison: Comparison, evidence: Evidence) -> NDArray[np.int64]:
    """Class each element: 0 neither, 1 near-zero drift, 2 beyond the tolerance, by the rules of ``noise.near_zero``."""
    limit = max(RELATIVE, comparison.tolerance.rtol)
    size, difference = (a.astype(np.float64) for a in (evidence.reference, evidence.difference))
    own = OWN_ROUNDING * comparison.noise.reference_peak if comparison.noise else 0.0
    flagged = (difference > limit * size) & (difference > own)
    return np.where(difference > allowed(comparison, size), 2, np.where(flagged, 1, 0))


def _draw(figure: Figure, x: Values, y: Values, kind: NDArray[np.int64], loosest: Comparison, threshold: float) -> None:
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    left, right = float(x.min()) / 1.5, float(x.max()) * 1.5
    bottom, top = float(y.min()) / 2, float(y.max()) * 4
    along = np.geomspace(left, right, 200)
    if threshold > left:
        axes.axvspan(left, min(threshold, right), color=SHADE, linewidth=0)
    ordinary = _thinned(x[kind == 0], y[kind == 0])
    dots = np.stack([*ordinary, *ordinary]).T.reshape(-1, 2, 2)
    broken = np.concatenate([dots, np.full((len(dots), 1, 2), np.nan)], axis=1).reshape(-1, 2)
    # lines of no length with round ends: a dot of a quarter of a marker's size in the file
    axes.plot(broken[:, 0], broken[:, 1], color=MUTED, linewidth=2.2, solid_capstyle="round", gid="dots")
    limit = allowed(loosest, along) / along
    if limit.any():
        axes.plot(along, limit, color=INK, linewidth=1.3, label="tolerance")
    axes.axhline(RELATIVE, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label=f"relative test, {RELATIVE:g}")
    for which, marker, colour, label in ((1, "^", DRIFT, "near-zero drift"), (2, "X", BAD, "beyond the tolerance")):
        at = np.flatnonzero(kind == which)
        if at.size:
            at = at[np.argsort(y[at])[::-1][:_MOST_MARKED]]
            axes.plot(x[at], y[at], marker, color=colour, markersize=5, markeredgewidth=0.4, label=label)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_xlabel("|reference|")
    axes.set_ylabel("relative difference")
    axes.legend(loc="upper right", borderaxespad=0)
    plain_powers(axes, "x", "y")


def _thinned(x: Values, y: Values) -> tuple[Values, Values]:
    """One element for each cell of a grid: more would lie on one another."""
    if not x.size:
        return x, y
    logs = np.log10(np.stack([x, y]))
    low = logs.min(axis=1, keepdims=True)
    span = np.maximum(logs.max(axis=1, keepdims=True) - low, 1e-9)
    cells = np.rint((logs - low) / span * _CELLS).astype(int)
    _, kept = np.unique(cells[0] * (_CELLS + 1) + cells[1], return_index=True)
    return x[kept], y[kept]


def _caption(port: Port, kind: NDArray[np.int64], clips: int, threshold: float) -> str:
    beyond = int(np.count_nonzero(kind == 2))
    drift = (
        f"{port.flagged} outputs drift near zero (triangles): they fail the relative test by more than the original's "
        "own rounding, and pass the tolerance."
        if port.flagged
        else "No output drifts near zero by more than the original's own rounding explains."
    )
    failed = f" Of those drawn, {beyond} are beyond the tolerance (crosses)." if beyond else ""
    every = len(port.config.clips)
    where = f"{clips} clips" if clips >= every else f"the worst {clips} of {every} clips"
    return (
        f"Outputs on {where}: those with the largest relative difference and a sample of the others. The smaller "
        f"the reference, the larger a relative difference: the dots follow the tolerance's hyperbola. {drift}{failed} "
        f"Shaded: near zero, |reference| below {threshold:.2g}."
    )


def _nothing(identity: str, port: Port, elements: int, clips: int) -> Picture:
    def draw(figure: Figure) -> None:
        figure.text(0.5, 0.5, "equal in every bit: nothing to draw", ha="center", va="center")

    caption = f"All {elements} outputs looked at on {clips} clips are equal to the original's."
    return picture(identity, f"{port.backend}: no difference", caption, 1.0, draw)
