"""What a large corpus takes on many machines, computed from what a small one took on one.

    python -m benchmarks.report.corpus docs/data/benchmarks_corpus.json

Prints the tables of the documentation.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report.results import Session, read
from benchmarks.report.runs import markdown_table, number

HOURS, MACHINES, WORKERS = 5_000, 100, 2
NETWORK = 1192.0  # MiB a second of one connection of 10 Gbit/s: what a modest store gives


@dataclass(frozen=True)
class Measured:
    """What is needed of the results, as medians. ``pace``: seconds of sound in a second, of a machine with 2 workers.

    For an hour of sound: ``parts``, and ``written`` and ``read`` in MiB. ``task``: seconds of the driver for each;
    ``report``: for each part.
    """

    pace: float
    parts: float
    written: float
    read: float
    task: float
    report: float

    @classmethod
    def of(cls, sessions: Mapping[str, Session]) -> Measured:
        """Look them up. Raises KeyError where a part was not measured."""
        rows = {row.what: row for name in ("corpus", "corpus-base") for row in sessions[name].part.rows}
        found = {what: statistics.median(row.ours) for what, row in rows.items()}
        curve = sessions["corpus"].part.curves[0]
        return cls(
            pace=found["base corpus, sound in a second, 2 workers"],
            parts=found["base corpus, parts of an hour of sound"],
            written=found["base corpus, parts written for an hour of sound"],
            read=found["base corpus, audio read for an hour of sound, FLAC at 16 kHz"],
            task=found["a task that does nothing, 2 workers"],
            report=curve.ys[-1] / curve.xs[-1],
        )


@dataclass(frozen=True)
class OnPaper:
    """So many hours of sound on so many machines of two cores, if nothing but the encoders took time."""

    measured: Measured
    hours: float = HOURS
    machines: int = MACHINES

    @property
    def took(self) -> float:
        """Hours until all is done."""
        return self.hours / self.machines / self.measured.pace

    @property
    def core_hours(self) -> float:
        """Hours of all cores."""
        return self.took * self.machines * WORKERS

    @property
    def parts(self) -> float:
        """How many parts there are."""
        return self.hours * self.measured.parts

    def shares(self) -> dict[str, tuple[float, float, str]]:
        """By what all machines share: what they want of it, what there is, and in what it is counted."""
        seconds = 3600 * self.took
        return {
            "tasks that the driver hands out": (self.parts / seconds, 1 / self.measured.task, "tasks/s"),
            "audio read from the store": (self.hours * self.measured.read / seconds, NETWORK, "MiB/s"),
            "parts written to the store": (self.hours * self.measured.written / seconds, NETWORK, "MiB/s"),
            "reading all parts for the report, after the run": (self.parts * self.measured.report, seconds, "s"),
        }

    def machines_until(self, share: str) -> float:
        """How many machines there are when this is used up."""
        wanted, there, _ = self.shares()[share]
        return self.machines * there / wanted

    @property
    def bottleneck(self) -> str:
        """What is used up first, as machines come."""
        return min(self.shares(), key=self.machines_until)


def on_paper(sessions: Mapping[str, Session]) -> str:
    """The table and what it says, as Markdown."""
    paper = OnPaper(Measured.of(sessions))
    headings = ("shared by all machines", "wanted", "there is", "", "used", "used up by so many machines")
    lines = [
        (what, number(wanted), number(there), unit, f"{wanted / there:.2%}", f"{paper.machines_until(what):,.0f}")
        for what, (wanted, there, unit) in paper.shares().items()
    ]
    return (
        f"{paper.hours:,.0f} hours of sound on {paper.machines} such machines, {WORKERS} workers on each: "
        f"{number(paper.took)} hours, {number(paper.core_hours)} core hours, {paper.parts:,.0f} parts of "
        f"{number(paper.hours * paper.measured.written / 1024)} GiB in all. What is used up first: "
        f"{paper.bottleneck}.\n\n{markdown_table(headings, lines)}\n"
    )


def main(paths: Sequence[Path]) -> None:
    """Print it for the results in these files, which are put together."""
    sessions: dict[str, Session] = {}
    for path in paths:
        sessions |= read(path)
    print(on_paper(sessions), end="")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
