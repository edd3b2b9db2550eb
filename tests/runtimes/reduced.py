"""The smaller graphs: which there are, and how a client's cells of them are judged.

They give other numbers than the original on purpose, so the rule for the others does not fit: what a client makes of
one is held against what ONNX Runtime makes of the same file, in decibels of signal over noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.runtimes.clients import FIXED
from tests.runtimes.inputs import Answers
from tests.runtimes.running import Run
from tests.runtimes.verdict import Verdict, problem, unfit

from aves_convert.graph.options import OnnxOptions
from aves_convert.reduction.cost import cost

OPTIONS = {  # as the commands' options give them
    "float16-weights": OnnxOptions(weights="float16"),
    "float16": OnnxOptions(precision="float16"),
    "int8": OnnxOptions(precision="int8", weights="float16"),
}
ALLOWED = 3.0  # dB more noise than ONNX Runtime has with the same graph and input
# On a processor ONNX Runtime computes in float32 what the graph has in half precision: of a product's three roundings,
# of its weight, of x and of what comes out, it has the first. Three times the noise is right where all three are done.
_THREE_ROUNDINGS = 10 * math.log10(3)

# What a client is held against: ONNX Runtime's outputs, by the graph and the input's name.
Yardstick = dict[str, Mapping[str, NDArray[Any]]]


def plain(graph: str) -> str:
    """The graph of any length that one of a fixed length computes the same as."""
    return graph.removeprefix(FIXED)


def allowed(graph: str) -> float:
    """How many dB more noise than ONNX Runtime a client may have with a graph."""
    return ALLOWED + (_THREE_ROUNDINGS if plain(graph) == "float16" else 0.0)


def judged(
    graph: str, run: Run, answers: Mapping[str, Answers], yardstick: Mapping[str, NDArray[Any]]
) -> tuple[Verdict, str, dict[str, Any]]:
    """The verdict of a cell of a smaller graph, why, and what was measured.

    ``yardstick``: ONNX Runtime's outputs of the same graph; its own cells are held against themselves.
    """
    ran = {name: answers[name] for name in run.outputs}
    found = {name: problem(name, run.outputs[name], right.original.shape) for name, right in ran.items()}
    fitting = [name for name, told in found.items() if not told and _shape(yardstick, name) == run.outputs[name].shape]
    alone = [f"{name}: ONNX Runtime gave nothing to hold it against" for name in ran if name not in fitting]
    failure = unfit(run, [told for told in found.values() if told] or alone)
    costs = {name: cost(run.outputs[name], answers[name].original) for name in fitting}
    behind = {name: cost(yardstick[name], answers[name].original).snr - costs[name].snr for name in fitting}
    worst = max(behind, key=lambda name: behind[name], default="")
    about = {
        "snr": _number(costs[name].snr for name in fitting),
        "cosine": _number((costs[name].worst_cosine for name in fitting), digits=7),
        "behind": None if not worst else round(behind[worst], 2) + 0.0,
        "worst": worst,
        "same": bool(fitting) and all(np.array_equal(run.outputs[name], yardstick[name]) for name in fitting),
        "like": _number(cost(run.outputs[name], yardstick[name]).snr for name in fitting),
    }
    if failure:
        return "fails", failure, about
    if behind[worst] > allowed(graph):
        told = f"{worst}: {behind[worst]:.1f} dB more noise than in ONNX Runtime, allowed {allowed(graph):.1f}"
        return "inexact", told, about
    return "good", "", about


def _shape(outputs: Mapping[str, NDArray[Any]], name: str) -> tuple[int, ...] | None:
    return outputs[name].shape if name in outputs else None


def _number(values: Iterable[float], digits: int = 4) -> float | None:
    """The smallest of some; None where there is none, or it is no number that JSON has."""
    least = min(values, default=math.nan)
    return float(f"{least:.{digits}g}") if np.isfinite(least) else None
