"""Commands, each in a process of its own, with their time and their peak memory; peers take turns.

Whoever measures with this must stay small itself: a process's peak memory begins with what its parent holds. So the
modules that run here import the standard library alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
Command = Sequence[str | Path]


@dataclass(frozen=True)
class Run:
    """What a command took, and what it printed."""

    seconds: float
    peak_mib: float  # of the process and of those that it waited for, the largest one's
    output: str


def run(
    command: Command,
    environment: Mapping[str, str] | None = None,
    meanwhile: Callable[[int], AbstractContextManager[None]] | None = None,
) -> Run:
    """Run a command in the project's folder. Raises RuntimeError with the end of its messages where it fails.

    ``meanwhile`` is given its process's number, and is entered until that ends.
    """
    # A shell that wants no bytecode would have every peer compiled anew in each run.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output, tempfile.TemporaryFile("w+") as messages:
        os.sync()  # what the command before has left to be written is no cost of this one
        start = time.perf_counter()
        child = subprocess.Popen(
            [str(part) for part in command],
            stdout=output,
            stderr=messages,
            cwd=ROOT,
            env={**inherited, **(environment or {})},
        )
        with meanwhile(child.pid) if meanwhile else nullcontext():
            _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        messages.seek(0)
        if child.returncode:
            told = (output.read() + messages.read())[-2000:]
            raise RuntimeError(f"{' '.join(map(str, command))} ended with status {child.returncode}:\n{told}")
        return Run(seconds, _mib(usage.ru_maxrss), output.read())


def take_turns(commands: Mapping[str, Command], rounds: int, *, warm_up: bool = True) -> dict[str, list[Run]]:
    """Run all commands in each round, every other round backwards, so that what slows the machine slows all of them.

    With ``warm_up`` each runs once before, unmeasured: it brings files into the page cache and compiles bytecode.
    """
    if warm_up:
        for command in commands.values():
            run(command)
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for i in range(rounds):
        for name in list(commands)[:: (-1) ** i]:
            runs[name].append(run(commands[name]))
    return runs


def python(module: str, *arguments: object) -> list[str]:
    """A module of this project as a command."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def tool(name: str, *arguments: object) -> list[str]:
    """``aves-convert`` or ``aves-verify`` as its user runs it."""
    return [str(Path(sys.executable).with_name(name)), *map(str, arguments)]


def _mib(maximum_resident: int) -> float:
    return maximum_resident / (2**20 if sys.platform == "darwin" else 2**10)
