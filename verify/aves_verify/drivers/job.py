"""What a driver is given and gives back: a job that each process opens once, tasks, and what became of them."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aves_artifacts.base.errors import InputError, TerminatedError
from aves_artifacts.base.messages import printable, quoted, reason_of

_SHARE = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # every task would fail of these
_LONGEST = 1000  # characters of a reason


class StopError(InputError):
    """What ends a whole run where one task meets it: no other task could be done either. What is done stays done."""


class Worker(Protocol):
    """A job that was opened in this process."""

    def do(self, spec: Any) -> Mapping[str, float]:
        """Do one task and write its part, whole or not at all; return numbers to add up, such as seconds of sound.

        Whatever it raises is tried again; a StopError, and an OSError of a full disk, end the run.
        """


class Job(Protocol):
    """What all tasks have in common. It is pickled: a frozen dataclass in a module that workers import too."""

    @property
    def key(self) -> str:
        """What it is: a process that has opened a job of this key keeps it."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Local files that workers on other machines need. Those of one folder lie in one folder there too."""

    def open(self, files: Mapping[Path, Path]) -> Worker:
        """Load what is needed, once in each process. ``files``: where each of ``self.files`` lies here.

        Whatever it raises ends the run.
        """


@dataclass(frozen=True)
class Task:
    """One of many tasks: its name, which no other has, what ``Worker.do`` is given, and its share of all windows."""

    name: str
    spec: Any
    weight: int = 1


@dataclass(frozen=True)
class Settings:
    """How long a driver tries: so many ``retries`` after a first failure, each after so many seconds of ``pauses``.

    The last pause is also that of all further ones. ``patience``: seconds that a run waits where all workers are gone.
    ``ahead``: tasks at once for each worker, one that it does and others that wait there; memory stays the same however
    many tasks there are.
    """

    retries: int = 3
    pauses: tuple[float, ...] = (1.0, 4.0, 16.0)
    patience: float = 600.0
    ahead: int = 2

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures of a task."""
        return self.pauses[min(failures, len(self.pauses)) - 1] if self.pauses else 0.0


@dataclass(frozen=True)
class Outcome:
    """What became of the tasks, by their names: numbers of those done, and why others are missing.

    ``stopped``: what ended the run before all were tried; empty where nothing did.
    """

    done: Mapping[str, Mapping[str, float]]
    missing: Mapping[str, str]
    stopped: str = ""


@dataclass(frozen=True)
class Answer:
    """What a process says of a task: its numbers, or why it failed, and whether that ends the run."""

    numbers: Mapping[str, float] | None = None
    reason: str = ""
    stops: bool = False
    lacks: str = ""  # the address of a worker that has not all files yet; it was not tried


def opened(job: Job, files: Mapping[Path, Path]) -> Worker:
    """Open a job in this process. Raises StopError: where it does not open, no task can be done."""
    try:
        return job.open(files)
    except InputError as error:
        raise StopError(_folded(error)) from error
    except TerminatedError:
        raise
    except (Exception, SystemExit) as error:
        raise StopError(_named(error)) from error


def attempt(worker: Worker, spec: Any) -> Answer:
    """Do a task, and tell of it whatever happens; only what is meant for the whole process is raised."""
    try:
        return Answer({str(name): float(value) for name, value in worker.do(spec).items()})
    except InputError as error:
        return Answer(reason=_folded(error), stops=isinstance(error, StopError))
    except OSError as error:
        return Answer(reason=reason_of(error), stops=error.errno in _NO_ROOM)
    except TerminatedError:
        raise
    except (Exception, SystemExit) as error:
        return Answer(reason=_named(error))


def _folded(error: InputError) -> str:
    return printable(" ".join(str(error).splitlines()), _LONGEST)


def _named(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {reason_of(error)}", _LONGEST)


def share(tasks: Sequence[Task], index: int, count: int) -> list[Task]:
    """The tasks of one of ``count`` processes that share them, ``index`` from 1 on: every ``count``-th."""
    return [*tasks[index - 1 :: count]]


def share_of(text: str) -> tuple[int, int]:
    """Read I/N: the I-th of N processes, from 1 on. Raises InputError for everything else."""
    found = _SHARE.fullmatch(text)
    if found and 1 <= int(found[1]) <= int(found[2]):
        return int(found[1]), int(found[2])
    raise InputError(f"{quoted(text)} is not a share of the tasks: expected I/N with I from 1 to N, such as 1/4")
