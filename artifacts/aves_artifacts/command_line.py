"""What the three commands share: how errors end, and how progress is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from aves_artifacts.errors import InputError


class BadInput(click.ClickException):
    """Bad input: one line on the error stream, exit status 2."""

    exit_code = 2


class Group(click.Group):
    """A group of commands in which an InputError ends the run with its one line and exit status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            raise BadInput(" ".join(str(error).split())) from error
        except BrokenPipeError:  # the reader of a pipe went away
            raise click.exceptions.Exit(1) from None


@contextmanager
def status(message: str) -> Iterator[None]:
    """Show what is going on, on a terminal; be quiet in a pipe."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(message):
        yield


def existing(*, folder: bool = False) -> click.Path:
    """A path argument; whether it can be read is told by the function that reads it, in its own words."""
    return click.Path(path_type=Path, file_okay=not folder)
