"""Drawing a search: signal-to-noise ratio against size and against time, each point a graph that was run.

Matplotlib is imported inside: it takes most of a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aves_artifacts.files.writing import replacing
from aves_convert.reduction.bounds import Bounds
from aves_convert.reduction.trial import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CHOSEN, _OTHERS, _MUTED = "#b3401f", "#1f5f8b", "#666666"
_RC: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "aves-convert",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "legend.frameon": False,
}
_ABOVE = 3.0  # dB above the best one: where a graph is drawn that has no noise


def write_picture(path: Path, trials: Sequence[Trial], chosen: tuple[str, ...], bounds: Bounds, seconds: float) -> None:
    """Draw graphs that were tried and timed, the chosen one marked, into an SVG file. Raises InputError.

    ``seconds``: how long the clip is on which they were timed.
    """
    import matplotlib
    from matplotlib.figure import Figure

    finite = [ratio for trial in trials if math.isfinite(ratio := _ratio(trial))]
    top = max([*finite, bounds.min_snr or 0.0], default=0.0) + _ABOVE
    with matplotlib.rc_context(_RC):
        figure = Figure(figsize=(8.4, 4.0), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, across in ((left, [t.size / 1e6 for t in trials]), (right, [t.seconds or 0.0 for t in trials])):
            heights = [min(_ratio(trial), top) for trial in trials]
            _points(axes, across, heights, trials, chosen)
            if bounds.min_snr is not None:
                axes.axhline(bounds.min_snr, color=_MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
            axes.set_xlim(0, 1.08 * max(across))
        left.set_xlabel("size of the file, MB")
        right.set_xlabel(f"one pass on {seconds:.1f} s of audio, s")
        left.set_ylabel("SNR in the worst clip, dB")
        if len(finite) < len(trials):
            left.set_yticks([*(tick for tick in left.get_yticks() if tick < top - _ABOVE / 2), top])
            left.set_yticklabels([*(f"{tick:g}" for tick in left.get_yticks()[:-1]), "no noise"])
        low = min([*finite, top])
        left.set_ylim(low - 1, top + 1)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        figure.suptitle(f"What stays in float32 for {bounds}", fontsize=10)
        with replacing(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})


def _points(
    axes: Axes, across: Sequence[float], heights: Sequence[float], trials: Sequence[Trial], chosen: tuple[str, ...]
) -> None:
    axes.plot(across, heights, "o", color=_OTHERS, ms=5, label="a graph, with the number of its products in float32")
    for x, y, trial in zip(across, heights, trials, strict=True):
        axes.annotate(str(len(trial.wide)), (x, y), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8)
        if trial.wide == chosen:
            axes.plot([x], [y], "D", ms=8, color=_CHOSEN, label="the one that was chosen")


def _ratio(trial: Trial) -> float:
    """The worst clip's, of all of them."""
    return min(trial.searched_on.snr, trial.held_out.snr)
