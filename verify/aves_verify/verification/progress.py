"""Showing the progress of long runs on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, int, int], None]  # what is going on, steps done, steps in all


@contextmanager
def step_bars(subjects: int) -> Iterator[Progress]:
    """Yield a function that moves a bar on a terminal; it shows nothing in a pipe."""
    from rich import progress as rich_progress
    from rich.console import Console

    console = Console(stderr=True)
    columns = (
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(),
        rich_progress.TextColumn("{task.completed}/{task.total}"),
        rich_progress.TimeElapsedColumn(),
    )
    with rich_progress.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        overall = bars.add_task("configurations", total=subjects)
        current = bars.add_task("", total=None)

        def show(step: str, done: int, total: int) -> None:
            bars.update(current, description=step, completed=done, total=total)
            if done == total:
                bars.advance(overall)

        yield show
