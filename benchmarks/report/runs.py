"""Several runs side by side, as Markdown: the table of the documentation.

    python -m benchmarks.report.runs docs/data/benchmarks_1.json docs/data/benchmarks_2.json

Of each run the median of the rounds' ratios, and in brackets the ratio of medians.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.report.results import Row, Session, read

HEADINGS = ("what", "against", "unit", "ours", "peer's", "floor")


def runs_table(paths: Sequence[Path]) -> str:
    """A line for each row that a run has. Raises FileNotFoundError."""
    runs = [read(path.resolve(strict=True)) for path in paths]
    headings = [*HEADINGS, *(f"run {i}" for i in range(1, len(runs) + 1)), "allowed", ""]
    return markdown_table(headings, _lines(runs)) + "\n"


def markdown_table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Lines of cells as Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, ["---"] * len(headings), *lines))


def _lines(runs: Sequence[Mapping[str, Session]]) -> Iterator[list[str]]:
    for part in dict.fromkeys(part for run in runs for part in run):
        found = [{row.what: row for row in run[part].part.rows} if part in run else {} for run in runs]
        for what in dict.fromkeys(what for rows in found for what in rows):
            yield _cells(what, [rows.get(what) for rows in found])


def _cells(what: str, runs: Sequence[Row | None]) -> list[str]:
    """Ours and the peer's of the first run that has it; the promise is met where it is in every run."""
    rows = [row for row in runs if row is not None]
    first = rows[0]
    peers = " or ".join(dict.fromkeys(row.peer for row in rows))  # the best one may be another in each run
    theirs = number(statistics.median(first.theirs)) if first.theirs else ""
    floors = [row.floor for row in rows if row.floor is not None]  # the machine's best rate, whenever it had it
    allowed = "" if first.allowed is None else limit(first.allowed)
    verdicts = [row.met for row in rows if row.met is not None]
    return [
        what,
        peers,
        first.unit,
        number(statistics.median(first.ours)),
        theirs,
        number(min(floors)) if floors else "",
        *("" if row is None else _run(row) for row in runs),
        allowed,
        ("met" if all(verdicts) else "not met") if verdicts else "",
    ]


def _run(row: Row) -> str:
    """The median of the rounds' ratios, and in brackets the ratio of medians; without a peer the median."""
    if row.ratio is None or row.ratio_of_medians is None:
        return number(statistics.median(row.ours))
    one = len(row.ours) == 1
    return f"{row.ratio:.2f}" if one else f"{row.ratio:.2f} ({row.ratio_of_medians:.2f})"


def limit(allowed: float) -> str:
    """Two decimals, or three digits of a small one."""
    return f"{allowed:.2f}" if allowed >= 0.1 else number(allowed)


def number(value: float) -> str:
    """Three digits, or all of a large one."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    print(runs_table([Path(argument) for argument in sys.argv[1:]]), end="")
