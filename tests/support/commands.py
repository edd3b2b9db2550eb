"""Commands as users give them, in the test's own process."""

from __future__ import annotations

import click
from click.testing import CliRunner, Result


def invoke(command: click.Command, *arguments: object) -> Result:
    """Run the command; an argument may be a path or a number."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments])
