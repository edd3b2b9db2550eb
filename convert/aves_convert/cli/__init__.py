"""aves-convert on the command line: its commands, their options, and what those ask for. Nothing is done here."""

from aves_convert.cli.commands import main

__all__ = ["main"]
