"""The report for a person at a terminal: a table with one line for each configuration and backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aves_verify.compare import Comparison
from aves_verify.report import ConfigReport, Report

_MAX_DETAILS = 12  # failed comparisons told one by one; the rest is counted
_STYLES = {"pass": "green", "near-zero drift": "yellow", "fail": "bold red"}
_WIDE = 112  # columns of a terminal that shows every column of the table

# Heading -> the worst value of a column over several comparisons; the last ones are left out on a narrow terminal.
_COLUMNS: dict[str, Callable[[Sequence[Comparison]], str]] = {
    "max |diff|": lambda rows: f"{max(c.max_abs for c in rows):.1e}",
    "max rel": lambda rows: f"{max(c.max_rel for c in rows):.1e}",
    "error ratio": lambda rows: _ratio([c.error_ratio for c in rows if c.error_ratio is not None]),
    "near zero": lambda rows: str(sum(c.near_zero.flagged for c in rows if c.near_zero is not None)),
    "mean |diff|": lambda rows: f"{max(c.mean_abs for c in rows):.1e}",
    "min cosine": lambda rows: f"{min(c.cosine_min for c in rows):.5f}",
}
_NARROW_COLUMNS = 4
_NUMBER = 7  # characters of a value such as 1.2e-06


def print_report(report: Report, console: Console, *, every_clip: bool) -> None:
    """Print the table, what failed and why, what drifted, and the verdict last."""
    if not console.is_terminal:
        console.width = max(console.width, _WIDE)
    console.print(_summary(report, console.width))
    for config in report.configs:
        if every_clip:
            console.print(_clips(config, console.width))
        for line in _details(config):
            console.print(line, soft_wrap=True)
    console.print(_verdict(report), soft_wrap=True)


def _summary(report: Report, width: int) -> Table:
    table = _table("Ports against the original", ("configuration", "backend", "clips"), width)
    table.add_column("seconds", justify="right", no_wrap=True)
    for config in report.configs:
        clips = str(len({c.clip for c in config.comparisons}))
        blank = [""] * _shown(width)
        seconds = config.seconds
        table.add_row(
            _label(config), config.reference, clips, *blank, Text("reference"), f"{seconds[config.reference]:.1f}"
        )
        for backend in dict.fromkeys(c.backend for c in config.comparisons):
            rows = [c for c in config.comparisons if c.backend == backend]
            table.add_row("", backend, clips, *_worst(rows, width), f"{seconds[backend]:.1f}")
        table.add_section()
    return table


def _clips(config: ConfigReport, width: int) -> Table:
    table = _table(f"{_label(config)}: every comparison", ("backend", "clip", "layer"), width)
    for comparison in config.comparisons:
        table.add_row(comparison.backend, comparison.clip, comparison.layer, *_worst([comparison], width))
    return table


def _table(title: str, names: Sequence[str], width: int) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=SIMPLE_HEAD)
    table.pad_edge = False
    table.padding = (0, 1, 0, 0)
    for name in names:
        table.add_column(name, no_wrap=True)
    for heading in list(_COLUMNS)[: _shown(width)]:
        table.add_column(heading, justify="right", min_width=_NUMBER)
    table.add_column("status", no_wrap=True)
    return table


def _shown(width: int) -> int:
    return len(_COLUMNS) if width >= _WIDE else _NARROW_COLUMNS


def _worst(rows: Sequence[Comparison], width: int) -> list[str | Text]:
    status = max((c.status for c in rows), key=list(_STYLES).index)
    values = [value(rows) for value in _COLUMNS.values()]
    return [*values[: _shown(width)], Text(status, style=_STYLES[status])]


def _ratio(ratios: Sequence[float]) -> str:
    return f"{max(ratios):.2f}" if ratios else "-"


def _label(config: ConfigReport) -> str:
    return f"{config.name} (stand-in)" if config.source == "stand-in" else config.name


def _details(config: ConfigReport) -> list[Text]:
    lines = [Text(f"{_label(config)}: {problem}", style=_STYLES["fail"]) for problem in config.problems]
    for status in ("fail", "near-zero drift"):
        told = [c for c in config.comparisons if c.status == status]
        lines += [
            Text(f"{_label(config)}, {c.backend}, clip {c.clip}, {c.layer}: {c.reason}", style=_STYLES[status])
            for c in told[:_MAX_DETAILS]
        ]
        if len(told) > _MAX_DETAILS:
            more = f"{_label(config)}: and {len(told) - _MAX_DETAILS} more comparisons with status {status}"
            lines.append(Text(more, style=_STYLES[status]))
    if not config.comparisons:
        lines.append(Text(f"{_label(config)}: nothing was compared", style=_STYLES["fail"]))
    return lines


def _verdict(report: Report) -> Text:
    count = sum(len(config.comparisons) for config in report.configs)
    names = ", ".join(_label(config) for config in report.configs if not config.passed)
    stand_ins = any(config.source == "stand-in" for config in report.configs)
    note = " The weights are seeded stand-ins, not the published ones." if stand_ins else ""
    if report.passed:
        return Text(f"PASSED: {count} comparisons in {report.total_seconds:.0f} s.{note}", style="bold green")
    return Text(f"FAILED: {names} ({count} comparisons in {report.total_seconds:.0f} s).{note}", style="bold red")
