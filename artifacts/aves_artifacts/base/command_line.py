"""How every command ends: bad input in one line, a failed check in a line for each problem, a fault of ours in full."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import IO, Any, NoReturn

import click

from aves_artifacts.base import extras
from aves_artifacts.base.errors import DoesNotHoldError, InputError, TerminatedError
from aves_artifacts.base.messages import escaped, one_line, reason_of


def say(line: object, *, err: bool = False) -> None:
    """Print a line, its control characters spelled out: names in it may come from a file or a server."""
    click.echo(escaped(str(line)), err=err)


class BadInput(click.ClickException):
    """Bad input: a line for each problem on the error stream, exit status 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message as it is, without click's own prefix."""
        click.echo(self.message, file=file, err=file is None)


_SOFTWARE = 70  # EX_SOFTWARE of sysexits.h
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_LONGEST = 2000  # characters of a line


class _Ends(click.Command):
    """An InputError ends the run with exit status 2, a DoesNotHoldError with 1; both with a line for each problem.

    Stopped runs end as shells expect (130 after Ctrl-C, 143 after SIGTERM) and remove their temporary files.
    """

    def main(self, *arguments: Any, **settings: Any) -> Any:
        """Run the program; also ``--help`` and the lines of an error may find no room where they are written to."""
        _open_streams()
        try:
            return super().main(*arguments, **settings)
        except OSError as error:
            _drop_output()
            with suppress(OSError):
                click.echo(_unwritten(error), err=True)
            sys.exit(BadInput.exit_code)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, _terminated)
            with warnings.catch_warnings():
                if not sys.warnoptions:  # warnings are for whoever asks for them with -W: a command has its own words
                    warnings.simplefilter("ignore")
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except InputError as error:
            raise BadInput("\n".join(_lines(error, _options_of(ctx.command)))) from error
        except DoesNotHoldError as error:
            for problem in error.problems:
                click.echo(_printed(problem), err=True)
            raise click.exceptions.Exit(1) from None
        except BrokenPipeError:  # the reader of a pipe went away
            _drop_output()
            _exit_quietly(signal.SIGPIPE)
        except OSError as error:
            raise (_refused(error) or _our_bug()) from error
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            _exit_quietly(signal.SIGINT)
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and (advice := extras.advice(error)):
                raise BadInput(one_line(f"Error: {advice}")) from error
            return _our_bug()


def _open_streams() -> None:
    """Have what was closed by whoever called lead nowhere, as files that are opened next would take its place.

    They would then get what libraries print.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, number)
            if nothing != number:
                os.close(nothing)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process


def _terminated(number: int, _: object) -> NoReturn:
    raise TerminatedError(128 + number)


class Command(_Ends):
    """A single command that ends as every command of ours does."""


class Group(_Ends, click.Group):
    """A group whose commands end as every command of ours does."""

    command_class = Command


def _refused(error: OSError) -> BadInput | None:
    """What the system refuses wherever it is asked: a full disk, a name too long, a folder closed to this user."""
    if _drop_output() or (error.filename is None and error.errno in _NO_ROOM):
        return BadInput(_unwritten(error))
    if error.filename is None:
        return None
    return BadInput(_printed(f"Error: {error.filename}: {reason_of(error)}; give another path"))


def _drop_output() -> bool:
    """Whether standard output takes no more, such as a file on a full disk; what it did not take is then dropped."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):  # or the interpreter would try once more at its end, and say so at length
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _unwritten(error: OSError) -> str:
    return f"Error: cannot write: {reason_of(error)}; make room where the output goes"


def _printed(line: str) -> str:
    """A line of an error: one that a path or a name makes very long keeps its beginning and its end."""
    printed = one_line(line)
    return printed if len(printed) <= _LONGEST else f"{printed[: _LONGEST // 2]} ... {printed[-_LONGEST // 2 :]}"


def _lines(error: InputError, options: Mapping[str, str]) -> Iterator[str]:
    """The lines of an error; those of its problems begin so that each is understood alone."""
    for number, line in enumerate(error.lines(options.get)):
        yield _printed(f"Error: {line}" if number < len(error.problems) else line)


def _options_of(command: click.Command) -> dict[str, str]:
    """A command's options by the arguments that they give: what the library says of an argument is said of those."""
    return {str(p.name): max(p.opts, key=len) for p in command.params if isinstance(p, click.Option)}


def _our_bug() -> NoReturn:
    """Show the exception; the status must be none of those that tell of a verification."""
    traceback.print_exc()
    raise click.exceptions.Exit(_SOFTWARE) from None


def _exit_quietly(number: signal.Signals) -> NoReturn:
    raise click.exceptions.Exit(128 + number) from None
