"""How every command ends: bad input in one line, a failed check in a line for each problem, a fault of ours in full."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from typing import IO, Any, NoReturn

import click

from aves_artifacts.base import extras
from aves_artifacts.base.errors import DoesNotHoldError, InputError
from aves_artifacts.base.messages import one_line, reason_of


class BadInput(click.ClickException):
    """Bad input: a line for each problem on the error stream, exit status 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message as it is, without click's own prefix."""
        click.echo(self.message, file=file, err=file is None)


_SOFTWARE = 70  # EX_SOFTWARE of sysexits.h


class _Ends(click.Command):
    """An InputError ends the run with exit status 2, a DoesNotHoldError with 1; both with a line for each problem.

    Stopped runs end as shells expect (130 after Ctrl-C, 143 after SIGTERM) and remove their temporary files.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except InputError as error:
            raise BadInput("\n".join(_printed(error, _options_of(ctx.command)))) from error
        except DoesNotHoldError as error:
            for problem in error.problems:
                click.echo(one_line(problem), err=True)
            raise click.exceptions.Exit(1) from None
        except BrokenPipeError:  # the reader of a pipe went away
            _exit_quietly(signal.SIGPIPE)
        except OSError as error:
            if error.filename is None:
                return _our_bug()
            # what the system refuses wherever it is asked: a name too long, a folder closed to this user
            raise BadInput(one_line(f"Error: {error.filename}: {reason_of(error)}; give another path")) from error
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            _exit_quietly(signal.SIGINT)
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and (advice := extras.advice(error)):
                raise BadInput(one_line(f"Error: {advice}")) from error
            return _our_bug()


class Command(_Ends):
    """A single command that ends as every command of ours does."""


class Group(_Ends, click.Group):
    """A group whose commands end as every command of ours does."""

    command_class = Command


def _printed(error: InputError, options: Mapping[str, str]) -> Iterator[str]:
    """The lines of an error; those of its problems begin so that each is understood alone."""
    for number, line in enumerate(error.lines(options.get)):
        yield one_line(f"Error: {line}" if number < len(error.problems) else line)


def _options_of(command: click.Command) -> dict[str, str]:
    """A command's options by the arguments that they give: what the library says of an argument is said of those."""
    return {str(p.name): max(p.opts, key=len) for p in command.params if isinstance(p, click.Option)}


def _our_bug() -> NoReturn:
    """Show the exception; the status must be none of those that tell of a verification."""
    traceback.print_exc()
    raise click.exceptions.Exit(_SOFTWARE) from None


def _exit_quietly(number: signal.Signals) -> NoReturn:
    raise click.exceptions.Exit(128 + number) from None
