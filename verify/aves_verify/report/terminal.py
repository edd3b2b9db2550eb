"""Printing the report on a terminal: a table with one line for each configuration and backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aves_artifacts.base.messages import cut_off, escaped
from aves_verify.report.costs import HEADINGS, CostRow, cost_rows, held_to_bound
from aves_verify.report.naming import for_people
from aves_verify.report.numbers import cosine, held_to, number, ratio
from aves_verify.report.report import ConfigReport, Report
from aves_verify.report.summary import Port, note, notes, ports, title

_MOST_TOLD = 12  # comparisons told one by one; the rest is counted
_STYLES = {"pass": "green", "near-zero drift": "yellow", "pass (reduced)": "cyan", "fail": "bold red"}
_PIPE_WIDTH = 120  # a pipe has no width; wide enough for every column


@dataclass(frozen=True)
class _Column:
    """A number's column. Narrow terminals leave out the high ranks."""

    heading: str
    cell: Callable[[Port], str]
    rank: int


_COLUMNS = (
    _Column("max |diff|", lambda port: number(port.max_abs), 0),
    _Column("mean |diff|", lambda port: number(port.mean_abs), 4),
    _Column("max rel", lambda port: number(port.max_rel), 2),
    _Column("min cosine", lambda port: cosine(port.cosine_min), 5),
    _Column("error ratio", lambda port: ratio(port.error_ratio), 1),
    _Column("near zero", lambda port: str(port.flagged), 3),
)
_NUMBER = 8  # characters of a value, and the gap beside it
_NAMES = 48  # characters of the names and the status


def print_report(report: Report, console: Console, *, every_clip: bool) -> None:
    """Print the table, what failed and why, what drifted, and the verdict last."""
    if not console.is_terminal:
        console.width = max(console.width, _PIPE_WIDTH)
    columns, report = _fitting(console.width), for_people(report)
    print_table(console, _summary(report, columns))
    for config in report.configs:
        if every_clip:
            print_table(console, _clips(config, columns))
        if rows := list(cost_rows(config)):
            print_table(console, _costs(config, rows))
        for line in (*_details(config), *_explained(config), *_noted(config)):
            console.print(line, soft_wrap=True)
        if config.sensitivities:
            print_table(console, _sensitivities(config))
    console.print(_allowed(report), soft_wrap=True)
    console.print(_verdict(report), soft_wrap=True)


def _fitting(width: int) -> tuple[_Column, ...]:
    count = max(1, (width - _NAMES) // _NUMBER)
    return tuple(column for column in _COLUMNS if column.rank < count)


def print_table(console: Console, table: Table) -> None:
    """Print a table, in a pipe without the blanks that rich fills its lines with."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    console.out("\n".join(line.rstrip() for line in captured.get().splitlines()), highlight=False)


def _summary(report: Report, columns: Sequence[_Column]) -> Table:
    table = _table("Ports against the original", ("configuration", "backend"), columns)
    table.add_column("sec", justify="right", no_wrap=True)
    for config in report.configs:
        blank = [""] * len(columns)
        if not config.comparisons:
            table.add_row(_label(config), "", *blank, _styled("fail", "fail"), "")
            table.add_section()
            continue
        table.add_row(_label(config), config.reference, *blank, "reference", _took(config.seconds, config.reference))
        for port in ports(config):
            table.add_row("", port.backend, *_cells(port, columns), _took(config.seconds, port.backend))
        table.add_section()
    return table


def _took(seconds: Mapping[str, float], backend: str) -> str:
    """A backend's seconds; of a corpus nobody knows them: its parts may be from anywhere, and from long ago."""
    return f"{seconds[backend]:.1f}" if backend in seconds else "-"


def _clips(config: ConfigReport, columns: Sequence[_Column]) -> Table:
    title = Text.assemble(_label(config), ": every comparison")
    table = _table(title, ("backend", "clip", "layer"), columns)
    for comparison in config.comparisons:
        names = (comparison.backend, _text(comparison.clip), comparison.layer)
        table.add_row(*names, *_cells(Port(config, comparison.backend, (comparison,)), columns))
    return table


def _table(title: str | Text, names: Sequence[str], columns: Sequence[_Column]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=SIMPLE_HEAD)
    table.pad_edge = False
    table.padding = (0, 1, 0, 0)
    for name in names:
        table.add_column(name, overflow="fold")
    for column in columns:
        table.add_column(column.heading, justify="right", min_width=_NUMBER - 1)
    table.add_column("status", overflow="fold")
    return table


def _cells(port: Port, columns: Sequence[_Column]) -> list[str | Text]:
    return [*(column.cell(port) for column in columns), _styled(port.status, port.status)]


def _label(config: ConfigReport) -> Text:
    return _text(title(config))


def _text(name: str) -> Text:
    """A name from outside as text of its own: no markup, no control characters."""
    return Text(escaped(name))


def _details(config: ConfigReport) -> list[Text]:
    label = _text(config.name)
    lines = [_styled("fail", label, ": ", _text(problem)) for problem in config.problems]
    for status in ("fail", "near-zero drift"):
        told, left = cut_off([c for c in config.comparisons if c.status == status], _MOST_TOLD)
        lines += [
            _styled(status, label, f", {c.backend}, clip ", _text(c.clip), f", {c.layer}: {c.reason}") for c in told
        ]
        if left:
            lines.append(_styled(status, label, f": and {left} more with status {status}"))
    if not config.comparisons:
        lines.append(_styled("fail", label, ": nothing was compared"))
    return lines


def _explained(config: ConfigReport) -> list[Text]:
    """Where each port's error begins."""
    return [Text.assemble(_text(config.name), ", ", _text(e.text)) for e in config.explanations]


def _noted(config: ConfigReport) -> list[Text]:
    return [Text.assemble(_text(config.name), ", ", _text(told), style="dim") for told in notes(config)]


def _sensitivities(config: ConfigReport) -> Table:
    """How far embeddings move: a change for each line, a backend for each column."""
    backends = dict.fromkeys(s.backend for s in config.sensitivities)
    table = Table(title=Text.assemble(_label(config), ": how far embeddings move (RMS, relative)"), box=SIMPLE_HEAD)
    table.title_justify, table.pad_edge = "left", False
    table.add_column("change")
    for backend in backends:
        table.add_column(backend, justify="right")
    table.add_column("should be")
    for change, kind in dict.fromkeys((s.change, s.kind) for s in config.sensitivities):
        moved = {s.backend: s.relative for s in config.sensitivities if s.change == change}
        cells = ["-" if moved.get(b) is None else f"{moved[b]:.1e}" for b in backends]
        table.add_row(change, *cells, "alike in all" if kind == "model" else "rounding")
    return table


def _costs(config: ConfigReport, rows: Sequence[CostRow]) -> Table:
    """What smaller graphs cost: a line for each."""
    table = Table(title=Text.assemble(_label(config), ": what smaller graphs cost"), box=SIMPLE_HEAD)
    table.title_justify, table.pad_edge, table.padding = "left", False, (0, 1, 0, 0)
    for i, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if i < 2 else "right", overflow="fold")
    for row in rows:
        table.add_row(row.port, _text(row.worst.clip), *row.cells)
    return table


def _styled(status: str, *parts: str | Text) -> Text:
    return Text.assemble(*parts, style=_STYLES[status])


def _allowed(report: Report) -> Text:
    """What the ports were held to, in one line."""
    compared = dict.fromkeys(c.backend for config in report.configs for c in config.comparisons)
    bounds = {c.backend: c.bound for config in report.configs for c in config.comparisons if c.bound is not None}
    parts = [
        f"{name} {held_to_bound(bounds[name]) if name in bounds else held_to(report.tolerances[name])}"
        for name in compared
    ]
    return Text("Allowed: " + "; ".join(parts))


def _verdict(report: Report) -> Text:
    count = sum(len(config.comparisons) for config in report.configs)
    weights = f" {note(report)}".rstrip()
    if report.passed:
        return _styled("pass", f"PASSED: {count} comparisons in {report.total_seconds:.0f} s.{weights}")
    names = Text(", ").join(_text(config.name) for config in report.configs if not config.passed)
    return _styled("fail", "FAILED: ", names, f" ({count} comparisons in {report.total_seconds:.0f} s).{weights}")
