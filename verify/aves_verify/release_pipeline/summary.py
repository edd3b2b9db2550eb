"""Printing what a release run did for each encoder, what it kept, and how long it took."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from aves_artifacts.release.publishing import PlannedUpload, Published, told
from aves_verify.release_pipeline.journal import Step
from aves_verify.report.terminal import print_table

_STEPS = ("checkpoint", "bundle", "verify", "check")


def print_steps(steps: Sequence[Step], console: Console) -> None:
    """Print a line for each encoder with the seconds of each step; ``kept`` where its result was there."""
    if not steps:
        return
    table = Table(title="Release", box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.add_column("encoder")
    for heading in _STEPS:
        table.add_column(heading, justify="right", no_wrap=True)
    for name in dict.fromkeys(step.name for step in steps if step.name):
        done = {step.step: step for step in steps if step.name == name}
        table.add_row(name, *(_cell(done.get(heading)) for heading in _STEPS))
    print_table(console, table)


def print_outcome(outcome: PlannedUpload | Published, steps: Sequence[Step], console: Console) -> None:
    """Print what was published or would be, and the seconds of all."""
    for line in told(outcome):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    spent = {step.step: step.seconds for step in steps if not step.name}
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in spent.items() if seconds is not None)
    total = sum(step.seconds for step in steps if step.seconds is not None)
    console.print(f"{parts}; {total:.0f} s in all", soft_wrap=True, markup=False, highlight=False)


def _cell(step: Step | None) -> str:
    if step is None:
        return "-"
    return "kept" if step.seconds is None else f"{step.seconds:.1f} s"
