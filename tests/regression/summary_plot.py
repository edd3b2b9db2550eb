"""The plot of drift over versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from tests.regression.leg_numbers import ERROR_RATIO
from tests.regression.models import FULL_SIZE

COLOURS = {
    "fairseq": "#009e73",
    "torchaudio": "#0072b2",
    "onnx": "#cc79a7",
    "onnx by torch": "#d55e00",
    "transformers": "#e69f00",
}
# ``max_abs`` is of values of the order of 1; the limits are those of the tolerances, for our ports.
PANELS = {
    "max_abs": ("largest difference from the golden", 5e-5),
    "error_ratio": ("error / the original's own", ERROR_RATIO),
}


def plot(results: Sequence[dict[str, Any]], svg: Path) -> None:
    """Every leg's largest difference and error ratio on the full-size model, one line for each backend."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "aves"  # the same file from the same results
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 1, figsize=(11, 7.5), sharex=True)
    for (name, (title, limit)), axis in zip(PANELS.items(), axes, strict=True):
        for backend, colour in COLOURS.items():
            points = {i: row[name] for i, result in enumerate(results) if (row := _row(result, backend)) is not None}
            axis.plot(list(points), list(points.values()), "o-", color=colour, label=backend)
        axis.axhline(limit, color="0.4", linestyle="--", linewidth=1, label="allowed for graphs by aves-convert")
        axis.set(yscale="log", ylabel=title)
        axis.grid(axis="y", color="0.9")
    boundary = sum(result["axis"] == "torch" for result in results) - 0.5
    for axis in axes:
        axis.axvline(boundary, color="0.7", linewidth=1)
    names = [result["leg"].replace("onnxruntime", "ORT") for result in results]
    axes[1].set_xticks(range(len(names)), names, rotation=35, ha="right")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="upper center", ncols=6, frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    figure.savefig(svg, metadata={"Date": None})
    plt.close(figure)


def _row(result: dict[str, Any], backend: str) -> dict[str, Any] | None:
    rows = (row for row in result["numbers"] if (row["model"], row["backend"]) == (FULL_SIZE, backend))
    return next(rows, None)
