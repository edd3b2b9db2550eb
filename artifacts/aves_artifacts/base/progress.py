"""Showing on a terminal what goes on: bars for files that are moved, and a word about the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from aves_artifacts.base.messages import escaped, size_text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@dataclass(frozen=True)
class TransferBars:
    """Progress bars of files that are moved, one for each."""

    progress: Progress
    verb: str
    tasks: dict[Path, TaskID] = field(default_factory=dict)

    def announce(self, sizes: Mapping[Path, int | None]) -> None:
        """Say how much will be moved, and make a bar for each file."""
        if not sizes:
            return
        known = sum(size or 0 for size in sizes.values())
        more = " and files of unknown size" if None in sizes.values() else ""
        click.echo(f"{self.verb} {len(sizes)} files, {size_text(known)}{more}", err=True)
        for path, size in sizes.items():
            self.tasks[path] = self.progress.add_task(escaped(path.name), total=size)

    def held(self, path: Path, size: int) -> None:
        """Move a file's bar to this many bytes."""
        if path in self.tasks:
            self.progress.update(self.tasks[path], completed=size)


@contextmanager
def transfer_bars(verb: str = "fetching") -> Iterator[TransferBars]:
    """Yield bars for files that are moved, which go away in the end; they show nothing in a pipe."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield TransferBars(progress, verb)


class Watcher(Protocol):
    """What is told of files as they are moved, to show it."""

    def announce(self, sizes: Mapping[Path, int | None]) -> None:
        """Called once before the start with each file's size in bytes; None where the server gives none."""

    def held(self, path: Path, size: int) -> None:
        """Called again and again with how many bytes of a file are here."""


class Silent:
    """A watcher that shows nothing."""

    def announce(self, sizes: Mapping[Path, int | None]) -> None:
        """Do nothing."""

    def held(self, path: Path, size: int) -> None:
        """Do nothing."""


@contextmanager
def showing(message: str) -> Iterator[Callable[[str], None]]:
    """Show a message on a terminal while the block runs; be quiet in a pipe.

    Yields a function that is told what goes on in the block, which is shown behind the message.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _step: None
        return
    with console.status(Text(escaped(message))) as status:
        yield lambda step: status.update(Text(escaped(f"{message}: {step}")))
