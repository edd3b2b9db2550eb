"""Telling of a run as it goes on: bars on a terminal, lines of JSON for programs, or nothing."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import one_line

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

Form = Literal["auto", "bar", "json", "none"]
Kind = Literal["start", "task", "retry", "set-aside", "worker-lost", "waiting", "end"]

_SPAN, _FEWEST = 120.0, 16  # the rate is that of so many seconds, or of so many tasks where they take longer


@dataclass(frozen=True)
class Event:
    """Something that happened in a run, and how far the run is: ``windows`` done ``of`` all, and as many a second."""

    event: Kind
    done: int
    tasks: int
    windows: int
    of: int
    task: str = ""
    reason: str = ""
    rate: float | None = None
    seconds_left: float | None = None


class Reporter(Protocol):
    """What is told of a run, to show it."""

    def tell(self, event: Event) -> None:
        """Called whenever something happens, in the main thread."""


@dataclass
class Progress:
    """How far a run is. ``there``: tasks that were done before, and ``windows`` of them; they say nothing of speed."""

    reporter: Reporter
    tasks: int
    of: int
    done: int = 0
    windows: int = 0
    clock: Callable[[], float] = time.monotonic
    _recent: deque[tuple[float, int]] = field(default_factory=deque)  # when so many windows were done
    _aside: int = 0  # windows of tasks that are set aside

    def did(self, task: str, weight: int) -> None:
        """Tell that a task is done, which has so many windows."""
        self.done += 1
        self.windows += weight
        self._recent.append((self.clock(), self.windows))
        while len(self._recent) > _FEWEST and self._recent[-1][0] - self._recent[0][0] > _SPAN:
            self._recent.popleft()
        self._tell("task", task)

    def retries(self, task: str, reason: str) -> None:
        """Tell that a task failed and is tried again later."""
        self._tell("retry", task, reason)

    def sets_aside(self, task: str, weight: int, reason: str) -> None:
        """Tell that a task failed too often."""
        self._aside += weight
        self._tell("set-aside", task, reason)

    def lost(self, worker: str) -> None:
        """Tell that a worker is gone; what it had is done elsewhere."""
        self._tell("worker-lost", reason=worker)

    def waits(self, what: str) -> None:
        """Tell that nothing goes on until something is there."""
        self._tell("waiting", reason=what)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Tell that the run begins, and that it is over where what is raised in the block ends it."""
        self._recent.append((self.clock(), self.windows))
        self._tell("start")
        try:
            yield
        except BaseException as error:
            self.ends(str(error) if isinstance(error, InputError) else f"ended by {type(error).__name__}")
            raise

    def ends(self, stopped: str = "") -> None:
        """Tell that the run is over, and what stopped it if something did."""
        self._tell("end", reason=stopped)

    @property
    def rate(self) -> float | None:
        """Windows a second of late; None where nothing was done yet."""
        if len(self._recent) < 2:
            return None
        (began, first), (ended, last) = self._recent[0], self._recent[-1]
        return (last - first) / (ended - began) if ended > began and last > first else None

    def _tell(self, kind: Kind, task: str = "", reason: str = "") -> None:
        rate = self.rate
        left = None if rate is None else max(0, self.of - self.windows - self._aside) / rate
        self.reporter.tell(
            Event(kind, self.done, self.tasks, self.windows, self.of, one_line(task), one_line(reason), rate, left)
        )


class Nothing:
    """A reporter that shows nothing."""

    def tell(self, event: Event) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class JsonLines:
    """A reporter that writes a line of JSON for each event; its keys are those of Event, and ``time``."""

    stream: IO[str]

    def tell(self, event: Event) -> None:
        """Write a line; a reader that went away is no reason to end a run."""
        line: dict[str, Any] = {
            "event": event.event,
            **{name: value for name in ("task", "reason") if (value := getattr(event, name))},
            "done": event.done,
            "tasks": event.tasks,
            "windows": event.windows,
            "of": event.of,
            "rate": None if event.rate is None else round(event.rate, 3),
            "seconds_left": None if event.seconds_left is None else round(event.seconds_left, 1),
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        }
        with suppress(OSError, ValueError):
            self.stream.write(json.dumps(line, ensure_ascii=True) + "\n")
            self.stream.flush()


@dataclass
class Bars:
    """A reporter that moves a bar, and prints a line above it for whatever went wrong."""

    bars: RichProgress
    _bar: TaskID | None = None

    def tell(self, event: Event) -> None:
        """Move the bar."""
        from rich.text import Text

        if self._bar is None:
            self._bar = self.bars.add_task("", total=event.of)
        said = f"{event.done}/{event.tasks} tasks"
        if event.rate is not None and event.seconds_left is not None:
            said += f", {event.rate:.3g} windows/s, {_duration(event.seconds_left)} left"
        if event.event == "waiting":
            said += f"; {event.reason}"
        self.bars.update(self._bar, description=said, completed=event.windows, total=event.of)
        if event.event in ("retry", "set-aside", "worker-lost"):
            where = f"{event.task}: " if event.task else ""
            self.bars.console.print(Text(f"{event.event}: {where}{event.reason}"))


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


@contextmanager
def reporter(form: Form = "auto", stream: IO[str] | None = None) -> Iterator[Reporter]:
    """Yield what shows a run on standard error, or ``stream``. Bars are for terminals: in a pipe they show nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as RichProgress

    stream = stream or sys.stderr
    if form == "json":
        yield JsonLines(stream)
        return
    console = Console(file=stream)
    if form == "none" or not console.is_terminal:
        yield Nothing()
        return
    columns = (BarColumn(), TextColumn("{task.description}", markup=False))
    with RichProgress(*columns, console=console, transient=True) as bars:
        yield Bars(bars)
