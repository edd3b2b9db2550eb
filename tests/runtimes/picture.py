"""The picture of all cells: clients down, graphs across, coloured by the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from tests.runtimes.table import GRAPHS

# Okabe and Ito's colours, which most people with colour blindness tell apart; the words are there as well.
COLOURS = {"good": "#009e73", "runs": "#56b4e9", "inexact": "#e69f00", "fails": "#d55e00", "not run": "#bbbbbb"}


def draw(cells: Sequence[dict[str, Any]], svg: Path) -> None:
    """One square for each cell, the pinned packages' where there are both, with its error ratio or its verdict."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "aves"  # the same file from the same results
    import matplotlib.pyplot as plt

    shown = {(cell["client"], cell["graph"]): cell for cell in reversed(cells)}
    clients = list(dict.fromkeys(cell["client"] for cell in cells))
    graphs = [graph for graph in GRAPHS if any(graph == at for _, at in shown)]
    figure, axis = plt.subplots(figsize=(9, 0.32 * len(clients) + 1.4))
    for (client, graph), cell in shown.items():
        x, y = graphs.index(graph), clients.index(client)
        axis.add_patch(plt.Rectangle((x, y), 0.96, 0.9, color=COLOURS[cell["verdict"]]))
        ratio = cell.get("error_ratio")
        told = f"{ratio:.2f}" if cell["verdict"] in ("good", "inexact") and ratio is not None else cell["verdict"]
        axis.text(x + 0.48, y + 0.45, told, ha="center", va="center", fontsize=8, color="white")
    axis.set(xlim=(0, len(graphs)), ylim=(len(clients), 0))
    names = [GRAPHS[graph].replace("`", "") for graph in graphs]
    axis.set_xticks([i + 0.48 for i in range(len(graphs))], names)
    axis.set_yticks([i + 0.45 for i in range(len(clients))], clients)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour, label=verdict) for verdict, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(svg, metadata={"Date": None})
    plt.close(figure)
