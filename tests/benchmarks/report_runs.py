"""Several runs side by side, as Markdown: the table of the documentation.

    python -m tests.benchmarks.report_runs docs/data/benchmarks_1.json docs/data/benchmarks_2.json

Of each run the median of the rounds' ratios, and in brackets the ratio of medians.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.benchmarks.results import Row, Session, read

HEADINGS = ("what", "against", "unit", "ours", "peer's", "floor")


def runs_table(paths: Sequence[Path]) -> str:
    """A line for each row of the first run; the others have the same parts, or leave some out."""
    runs = [read(path) for path in paths]
    headings = [*HEADINGS, *(f"run {i}" for i in range(1, len(runs) + 1)), "allowed", ""]
    lines = [headings, ["---"] * len(headings), *_lines(runs)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _lines(runs: Sequence[Mapping[str, Session]]) -> Iterator[list[str]]:
    for name, session in runs[0].items():
        others = [run[name].part.rows if name in run else [None] * len(session.part.rows) for run in runs[1:]]
        for rows in zip(session.part.rows, *others, strict=True):
            yield _cells([row for row in rows if row is not None], len(runs))


def _cells(rows: Sequence[Row], count: int) -> list[str]:
    """Ours and the peer's of the first run; the promise is met where it is in every run."""
    first = rows[0]
    peers = " or ".join(dict.fromkeys(row.peer for row in rows))  # the best one may be another in each run
    numbers = (statistics.median(first.ours), *([statistics.median(first.theirs)] if first.theirs else []))
    floor = "" if first.floor is None else number(first.floor)
    allowed = "" if first.allowed is None else f"{first.allowed:.2f}"
    verdict = "" if first.met is None else "met" if all(row.met for row in rows) else "not met"
    values = [*map(number, numbers), *[""] * (2 - len(numbers))]
    found = [_run(row) for row in rows]
    return [first.what, peers, first.unit, *values, floor, *found, *[""] * (count - len(rows)), allowed, verdict]


def _run(row: Row) -> str:
    """The median of the rounds' ratios, and in brackets the ratio of medians; without a peer the median."""
    if row.ratio is None or row.ratio_of_medians is None:
        return number(statistics.median(row.ours))
    one = len(row.ours) == 1
    return f"{row.ratio:.2f}" if one else f"{row.ratio:.2f} ({row.ratio_of_medians:.2f})"


def number(value: float) -> str:
    """Three digits, or all of a large one."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    print(runs_table([Path(argument) for argument in sys.argv[1:]]), end="")
