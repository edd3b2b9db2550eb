"""Judging what a client computed: measures of its error, the rule for a good cell, and cells that were good before."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tests.runtimes.inputs import Answers, Input
from tests.runtimes.running import Run

ABSURD = 0.01  # embeddings are of the order of 1: an error above this is wrong, whatever the ordinary export has
ALLOWED = 1.5  # times the larger of the original's own error and the ordinary export's in the same client

# "runs": other numbers are meant, as with eight bits, and nobody judged them.
Verdict = Literal["good", "runs", "inexact", "fails", "not run"]
FINE = ("good", "runs")


@dataclass(frozen=True)
class Errors:
    """Largest errors of a run, apart for inputs without an offset (False) and with one (True)."""

    largest: Mapping[bool, float] = field(default_factory=dict)
    ratio: float = math.nan  # RMS error over the original's, the median over inputs
    worst: str = ""  # the input with the largest ratio
    worst_ratio: float = math.nan
    problems: tuple[str, ...] = ()


def measured(run: Run, given: Iterable[Input], answers: Mapping[str, Answers]) -> Errors:
    """Hold every output against the exact answer. Outputs of another shape, or no numbers, are problems."""
    largest: dict[bool, float] = {}
    ratios: dict[str, float] = {}
    problems = []
    for one in given:
        output, right = run.outputs.get(one.name), answers[one.name]
        if output is None:
            continue
        if found := problem(one.name, output, right.exact.shape):
            problems.append(found)
        else:
            error = output.astype(np.float64) - right.exact
            largest[one.offset] = max(largest.get(one.offset, 0.0), float(np.abs(error).max()))
            ratios[one.name] = _rms(error) / _rms(right.original - right.exact)
    worst = max(ratios, key=lambda name: ratios[name], default="")
    median = float(np.median(list(ratios.values()))) if ratios else math.nan
    return Errors(largest, median, worst, ratios.get(worst, math.nan), tuple(problems))


def original_errors(given: Iterable[Input], answers: Mapping[str, Answers]) -> dict[bool, float]:
    """The original's own largest errors, as `Errors.largest`."""
    largest: dict[bool, float] = {}
    for one in given:
        right = answers[one.name]
        error = float(np.abs(right.original - right.exact).max())
        largest[one.offset] = max(largest.get(one.offset, 0.0), error)
    return largest


def judged(
    run: Run, errors: Errors, original: Mapping[bool, float], export: Mapping[bool, float] | None, *, exact: bool
) -> tuple[Verdict, str]:
    """The verdict of a cell and why, by its worst error.

    ``export``: the ordinary export's errors in the same client, where it runs.
    """
    if problem := unfit(run, errors.problems):
        return "fails", problem
    if not exact:
        return "runs", ""
    worst, limit = nearest_limit(errors, original, export)
    found = errors.largest[worst]
    if found <= limit:
        return "good", ""
    return "inexact", f"largest error {'with' if worst else 'without'} an offset {found:.1e}, allowed {limit:.1e}"


def unfit(run: Run, problems: Sequence[str]) -> str:
    """Why a run fails, whatever its error is; empty where it does not. ``problems``: of its outputs."""
    if run.errors:
        name, told = next(iter(run.errors.items()))
        return f"{name}: {told}" if name else told
    if problems:
        return problems[0]
    if not run.outputs:
        return "it gave nothing"
    if run.changing:
        return f"{run.changing[0]}: the second run gives something else than the first"
    return ""


def problem(name: str, output: NDArray[Any], shape: tuple[int, ...]) -> str:
    """What is wrong with an output itself: another shape, or no numbers; empty where nothing is."""
    if output.shape != shape:
        return f"{name}: gives {list(output.shape)}, not {list(shape)}"
    if output.dtype.kind != "f" or not np.isfinite(output).all():
        return f"{name}: gives no numbers"
    return ""


def nearest_limit(
    errors: Errors, original: Mapping[bool, float], export: Mapping[bool, float] | None
) -> tuple[bool, float]:
    """Whether the inputs have an offset whose largest error is the largest part of what is allowed, and that limit."""
    limits = {
        offset: min(ABSURD, ALLOWED * max(original[offset], (export or {}).get(offset, 0.0)))
        for offset in errors.largest
    }
    worst = max(limits, key=lambda offset: errors.largest[offset] / limits[offset])
    return worst, limits[worst]


def of_allowed(errors: Errors, original: Mapping[bool, float], export: Mapping[bool, float] | None) -> float:
    """The largest error as a part of what is allowed: 1 at most where it is good; NaN where nothing was given."""
    if not errors.largest:
        return math.nan
    worst, limit = nearest_limit(errors, original, export)
    return errors.largest[worst] / limit


def key(cell: Mapping[str, Any]) -> tuple[str, str, str]:
    """What makes two cells the same one."""
    return (cell["client"], cell["packages"], cell["graph"])


def regressions(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[str]:
    """Cells that were good, or ran, and do not any more, a line each; a cell that was not looked at now is none."""
    was = {key(cell): cell["verdict"] for cell in before if cell["verdict"] in FINE}
    return [
        f"{cell['client']} ({cell['packages']}), {cell['graph']}: {'was good' if was[key(cell)] == 'good' else 'ran'}, "
        f"now {cell['verdict']}: {cell['why']}"
        for cell in now
        if key(cell) in was and cell["verdict"] not in FINE
    ]


def _rms(error: Any) -> float:
    # an input that the original computes exactly would make the ratio infinite
    return float(np.sqrt(np.mean(np.square(error.astype(np.float64))))) or 1e-12
