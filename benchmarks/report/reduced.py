"""Smaller graphs as a Markdown table: size, cost and time of each, several runs side by side.

    python -m benchmarks.report.reduced docs/data/benchmarks_reduced_1.json docs/data/benchmarks_reduced_2.json

Size and cost are those of the first run. A time is the median of the rounds' ratios to our float32 graph, of each run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.measures.reduced import FLOAT32, REDUCED_NAMES
from benchmarks.report.results import Reduced, paired_ratio, read
from benchmarks.report.runs import markdown_table


def reduced_table(runs: Sequence[Sequence[Reduced]]) -> str:
    """A line for each encoder; one that could not be measured says why."""
    first = runs[0]
    kinds = list(dict.fromkeys(kind for each in first for kind in each.snr))
    cases = list(dict.fromkeys(case for each in first for case in each.seconds))
    costs = [f"{what}, {kind}" for what in ("worst clip, dB", "worst frame's cosine") for kind in kinds]
    headings = ["", "MB", *costs, *(f"time, {case}" for case in cases)]
    by_name = [{each.encoder: each for each in run} for run in runs]
    return markdown_table(headings, (list(_line(name, by_name, kinds, cases)) for name in by_name[0]))


def _line(name: str, runs: Sequence[dict[str, Reduced]], kinds: Sequence[str], cases: Sequence[str]) -> Iterator[str]:
    found = runs[0][name]
    yield REDUCED_NAMES[name]
    if found.problem:
        yield f"none: {found.problem}".replace("|", "\\|")
        yield from [""] * (2 * len(kinds) + len(cases))
        return
    yield f"{found.size / 1e6:.0f}"
    yield from (f"{found.snr[kind]:.1f}" for kind in kinds)
    yield from (f"{1 - found.away[kind]:.5f}" for kind in kinds)
    for case in cases:
        pairs = ((run[name].seconds[case], run[FLOAT32].seconds[case]) for run in runs)
        yield " / ".join(f"{paired_ratio(mine, base):.2f}" for mine, base in pairs)


if __name__ == "__main__":
    files = [read(Path(argument).resolve(strict=True)) for argument in sys.argv[1:]]
    for name in ("reduced", "reduced-long"):
        if found := [each[name].part.reduced for each in files if name in each]:
            print(reduced_table(found), end="\n\n")
