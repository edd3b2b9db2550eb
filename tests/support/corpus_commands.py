"""The commands of a corpus as users have them: in processes of their own, which are disturbed while they run."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

_PROGRAM = "import sys; from aves_verify.cli import main; main(sys.argv[1:])"
_PATIENCE = 300  # seconds
# Before the command: each part takes a moment more, so that on a fast machine too there is one in which to disturb it.
SLOWLY = """
import time
from aves_verify.recipes.making import PartWorker
quickly = PartWorker.do
def do(self, spec):
    time.sleep(0.3)
    return quickly(self, spec)
PartWorker.do = do
"""


@dataclass
class Command:
    """A command that runs, in a session of its own; what it prints goes to a file."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8")

    def events(self, kind: str) -> int:
        """How many of these ``--progress json`` has told."""
        return self.said.count(f'{{"event": "{kind}"')

    def wait_for(self, kind: str, count: int) -> bool:
        """Wait until so many events were told; return whether it still runs."""
        until = time.monotonic() + _PATIENCE
        while self.events(kind) < count and self.process.poll() is None:
            assert time.monotonic() < until, self.said
            time.sleep(0.01)
        return self.process.poll() is None

    def ended(self) -> int:
        """Wait for its end; return its exit status."""
        return self.process.wait(_PATIENCE)

    def below(self) -> list[psutil.Process]:
        """All processes that it has started, and that these have."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def workers(self) -> list[psutil.Process]:
        """Those that multiprocessing has spawned; with setproctitle they have another name once they are up."""
        return [
            each for each in self.below() if any(name in _line_of(each) for name in ("spawn_main", "dask worker ["))
        ]

    def encoders(self) -> list[psutil.Process]:
        """The processes that encoders run in."""
        return [each for each in self.below() if "aves_artifacts.base.process" in _line_of(each)]


def _line_of(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


@contextlib.contextmanager
def started(
    log: Path, *arguments: object, environment: Mapping[str, str] | None = None, before: str = ""
) -> Iterator[Command]:
    """Start ``aves-verify corpus``, ``before`` it some Python; nothing of it outlives the block."""
    program = f"{before}\n{_PROGRAM}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", program, "corpus", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Command(process, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@dataclass
class Ordered:
    """A run that is wanted, and how often it was started."""

    parts: str
    options: Sequence[object]
    folder: Path  # for what commands print
    environment: Mapping[str, str] = field(default_factory=dict)
    count: int = 0

    def start(self, *more: object, before: str = "") -> contextlib.AbstractContextManager[Command]:
        self.count += 1
        options = ("run", *self.options, "--parts", self.parts, "--progress", "json", *more)
        return started(self.folder / f"run-{self.count}.log", *options, environment=self.environment, before=before)

    def run(self, *more: object) -> tuple[int, str]:
        """Run it, undisturbed; return its exit status and what it says."""
        with self.start(*more) as command:
            return command.ended(), command.said

    def until_done(self, *more: object, most: int = 3) -> None:
        """Run it until all parts are there; each time it must have told what is missing."""
        for _ in range(most):
            status, said = self.run(*more)
            if status == 0:
                return
            assert status in (1, 2), said
            assert "missing: " in said or "Error: " in said
        raise AssertionError(said)

    def report(self, *more: object) -> tuple[int, Any]:
        """The exit status of the report, and what it tells programs."""
        path = self.folder / "report.json"
        path.unlink(missing_ok=True)
        options = ("report", "--parts", self.parts, "--json", path, *more)
        with started(self.folder / "report.log", *options, environment=self.environment) as command:
            return command.ended(), json.loads(path.read_text("utf-8")) if path.exists() else command.said


def kill(command: Command, kind: str, chance: random.Random) -> bool:
    """Kill one of its processes of a kind, ``workers`` or ``encoders``; whether there was one."""
    found = command.workers() if kind == "workers" else command.encoders()
    with contextlib.suppress(psutil.NoSuchProcess):
        if found:
            chance.choice(found).kill()
            return True
    return False


def gone(processes: Sequence[psutil.Process], seconds: float = 20.0) -> bool:
    """Whether all of these end within a time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]:
            return True
        time.sleep(0.05)
    return False
