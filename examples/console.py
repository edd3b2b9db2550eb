"""How the examples speak: errors that end in one line, bars on a terminal, text from outside made printable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import track

from aves_artifacts import DoesNotHoldError, InputError

Thing = TypeVar("Thing")

ANY_PATH, FOLDER = click.Path(path_type=Path), click.Path(path_type=Path, file_okay=False)


class BadInput(click.ClickException):
    """Bad input: a line on the error stream for each problem, status 2."""

    exit_code = 2


class Command(click.Command):
    """A command that ends with one line and status 2 for bad input, and with status 1 for what does not hold."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except DoesNotHoldError as error:
            for problem in error.problems:
                click.echo(printable(problem), err=True)
            raise click.exceptions.Exit(1) from None
        except (InputError, OSError) as error:
            raise BadInput("\n".join(map(printable, str(error).splitlines()))) from error


def printable(text: str) -> str:
    """The text in one line, without characters that steer a terminal: names of files and labels come from outside."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(map(str.strip, text.splitlines())))


def progress(things: Iterable[Thing], total: int, description: str) -> Iterator[Thing]:
    """Go through things with a bar on a terminal, and quietly in a pipe."""
    console = Console(stderr=True)
    bar = track(things, description, total, console=console, transient=True, disable=not console.is_terminal)
    return iter(bar)


@contextmanager
def status(message: str) -> Iterator[None]:
    """Show on a terminal what is going on."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(message):
        yield
