"""Progress of long runs on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aves_verify.verification.verify import Progress


@contextmanager
def bars(subjects: int) -> Iterator[Progress]:
    """A bar on a terminal; nothing in a pipe."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        overall = bars.add_task("configurations", total=subjects)
        current = bars.add_task("", total=None)

        def show(step: str, done: int, total: int) -> None:
            bars.update(current, description=step, completed=done, total=total)
            if done == total:
                bars.advance(overall)

        yield show
