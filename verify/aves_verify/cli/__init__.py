"""aves-verify on the command line: its commands, their options, and what options select. Nothing is computed here."""

from aves_verify.cli.commands import main

__all__ = ["main"]
