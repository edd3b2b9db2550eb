"""Printing tables and styled text on standard output."""

from __future__ import annotations

from typing import NoReturn

from rich.console import Console


class Output(Console):
    """Standard output: of a pipe whose reader went away it raises BrokenPipeError, as printing does everywhere else.

    rich itself would end the program with status 1, which here tells of a verification.
    """

    def on_broken_pipe(self) -> NoReturn:
        """See ``Output``. Raises BrokenPipeError."""
        self.quiet = True
        raise BrokenPipeError
