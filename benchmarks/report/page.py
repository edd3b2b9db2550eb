"""The results for people: on a terminal and as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measures.inference import NAMES
from benchmarks.report.reduced import reduced_table
from benchmarks.report.results import Measured, Row, Session
from benchmarks.report.runs import limit, markdown_table, number
from rich.console import Console
from rich.table import Column, Table

HEADINGS = ("what", "against", "unit", "ours", "peer's", "ratio", "of medians", "allowed", "floor", "rounds", "")
Sessions = Mapping[str, Session]

_WIDTH = 300  # columns, more than the longest row


def print_table(sessions: Sessions) -> None:
    """Every row, then how the curves grow. As wide as it has to be: a wrapped figure is read wrongly."""
    table = Table(*(Column(heading, no_wrap=True) for heading in HEADINGS), box=None, header_style="bold")
    for session in sessions.values():
        for row in session.part.rows:
            table.add_row(*_cells(row), style="red" if row.met is False else None)
    console = Console(width=_WIDTH, soft_wrap=True)
    console.print(table)
    for line in _growth(sessions):
        console.print(line)


def write_markdown(sessions: Sessions, path: Path) -> None:
    """The machines, the rows by part, each encoder's figures, and how the curves grow."""
    path.write_text("\n\n".join(_sections(sessions)) + "\n", encoding="utf-8")


def _sections(sessions: Sessions) -> Iterator[str]:
    yield "\n".join(f"- {line}" for line in machines(sessions))
    for name, session in sessions.items():
        if session.part.rows:
            yield f"### {name}"
            yield markdown_table(HEADINGS, map(_cells, session.part.rows))
    figures: tuple[tuple[str, Callable[[Measured], str]], ...] = (
        ("seconds of a forward pass", lambda each: number(statistics.median(each.seconds))),
        ("peak memory of the process, MiB", lambda each: f"{each.peak_mib:.0f}"),
        ("error against float64, over the original's", lambda each: f"{each.error_ratio:.2f}"),
    )
    for name, session in sessions.items():
        for what, text in figures if session.part.measured else ():
            yield f"### {name}: {what}"
            yield _pivot(session.part.measured, text)
        if session.part.reduced:
            yield f"### {name}: size, cost and time over that of our float32 graph"
            yield reduced_table([session.part.reduced])
    if any(session.part.curves for session in sessions.values()):
        yield "### growth"
        yield "\n".join(f"- {line}" for line in _growth(sessions))


def machines(sessions: Sessions) -> Iterator[str]:
    """Each machine, the parts that were measured on it, and the rates there before each of them."""
    parts: dict[str, list[str]] = {}
    for name, session in sessions.items():
        parts.setdefault(_machine(session.machine), []).append(name)
    for machine, names in parts.items():
        rates = "; ".join(f"{name}: {_rates(sessions[name].machine)}" for name in names)
        yield f"{machine}. Rates when each part began: {rates}."


def _machine(machine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['cpu']}; {machine['cores']} cores, {machine['memory_gib']:.0f} GiB; {machine['system']}; Python "
        f"{machine['python']}, {versions}"
    )


def _rates(machine: Mapping[str, Any]) -> str:
    floors, (before, after) = machine["floors"], machine["load"]
    products = ", ".join(f"{rate:.0f} with {threads}" for threads, rate in floors["gflops"].items())
    return (
        f"disk reads {floors['read_cold']:.0f} MiB/s ({floors['read_warm']:.0f} from the page cache), writes "
        f"{floors['write']:.0f}; float32 products {products} threads, 1e9 operations a second; load average "
        f"{before:.1f} before, {after:.1f} after"
    )


def _cells(row: Row) -> list[str]:
    theirs = number(statistics.median(row.theirs)) if row.theirs else ""
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    of_medians = "" if row.ratio_of_medians is None else f"{row.ratio_of_medians:.2f}"
    allowed = "" if row.allowed is None else limit(row.allowed)
    floor = "" if row.floor is None else f"{number(row.floor)}: {row.floor_of}"
    met = {True: "met", False: "NOT MET", None: ""}[row.met]
    ours = number(statistics.median(row.ours))
    return [row.what, row.peer, row.unit, ours, theirs, ratio, of_medians, allowed, floor, str(len(row.ours)), met]


def _pivot(measured: Sequence[Measured], text: Callable[[Measured], str]) -> str:
    """A line for each case, a column for each encoder."""
    cases = dict.fromkeys(each.case for each in measured)
    encoders = [name for name in NAMES if any(each.encoder == name for each in measured)]
    cells = {(each.case, each.encoder): text(each) for each in measured}
    lines = ([case, *(cells.get((case, name), "") for name in encoders)] for case in cases)
    return markdown_table(("", *(NAMES[name] for name in encoders)), lines)


def _growth(sessions: Sessions) -> Iterator[str]:
    for session in sessions.values():
        for curve in session.part.curves:
            yield f"{curve.what}, {curve.who}, {curve.unit}: {curve.growth()}"
