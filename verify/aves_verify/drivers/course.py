"""The course of a run: which task is next, which is tried again, and what became of each. Whoever does them asks."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aves_verify.drivers.job import Answer, Outcome, Settings, Task
from aves_verify.drivers.progress import Progress

_DOUBT = 4  # tasks whose workers died, before anything else was heard of any


@dataclass
class _Line:
    """Tasks that wait, each until its time has come."""

    tasks: list[tuple[float, int, Task]] = field(default_factory=list)
    count: int = 0

    def put(self, task: Task, ready: float) -> None:
        self.count += 1
        heapq.heappush(self.tasks, (ready, self.count, task))

    def take(self, now: float) -> Task | None:
        return heapq.heappop(self.tasks)[2] if self.tasks and self.tasks[0][0] <= now else None


class Course:
    """The tasks of a run and where each stands.

    A task that fails goes to the end of the line until it has failed too often. One whose worker died too often is
    suspicious: others were on that worker too, so it is tried again when all others are through, alone.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        settings: Settings,
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if len({task.name for task in tasks}) < len(tasks):
            raise ValueError("two tasks of one name")
        self.stopped = ""
        self._tasks, self._settings, self._progress, self._clock = iter(tasks), settings, progress, clock
        self._trusted = False
        self._again, self._suspicious = _Line(), _Line()
        self._failures: dict[str, int] = {}
        self._deaths: dict[str, int] = {}  # of workers, while this task was alone on the cluster
        self._suspects: set[str] = set()
        self._done: dict[str, dict[str, float]] = {}
        self._missing: dict[str, str] = {}

    def next(self, under_way: int) -> Task | None:
        """The next task, where ``under_way`` others are being done; None where nothing is to be begun now."""
        if self.stopped or self.is_doubtful:
            return None
        task = next(self._tasks, None) or self._again.take(self._clock())
        if task is None and not under_way and not self._again.tasks:
            task = self._suspicious.take(self._clock())
        return task

    @property
    def is_doubtful(self) -> bool:
        """Whether workers died of each of the first tasks: perhaps before they came to them, and others would too."""
        return not self._trusted and len(self._suspects) >= _DOUBT

    def trust(self) -> None:
        """Take in that a worker has come as far as its tasks."""
        self._trusted = True

    @property
    def pause(self) -> float | None:
        """Seconds until a task that waits may be begun, where all others were; None where there is none left."""
        line = self._again.tasks or self._suspicious.tasks
        return max(0.0, line[0][0] - self._clock()) if line and not self.stopped else None

    def answered(self, task: Task, answer: Answer) -> None:
        """Take in what a process says of a task."""
        self.trust()
        if answer.stops:
            self.stopped = answer.reason
        elif answer.numbers is not None:
            self._done[task.name] = dict(answer.numbers)
            self._progress.did(task.name, task.weight)
        else:
            failures = self._failures[task.name] = self._failures.get(task.name, 0) + 1
            if failures > self._settings.retries:
                self._set_aside(task, answer.reason)
            else:
                self._progress.retries(task.name, answer.reason)
                self._put_back(task, self._clock() + self._settings.pause(failures))

    def not_tried(self, task: Task) -> None:
        """Take back a task that could not be begun."""
        self._put_back(task, self._clock())

    def died(self, task: Task, deaths: int) -> None:
        """Take in that so many workers died which had this task."""
        if task.name in self._suspects:
            died = self._deaths[task.name] = self._deaths.get(task.name, 0) + deaths
            if died >= max(1, self._settings.retries):
                return self._set_aside(task, f"killed its worker {died} times")
        self._suspects.add(task.name)
        self._progress.retries(task.name, f"{deaths} workers that had it died")
        return self._put_back(task, self._clock())

    @property
    def outcome(self) -> Outcome:
        """What became of the tasks, so far."""
        return Outcome(self._done, self._missing, self.stopped)

    def _put_back(self, task: Task, ready: float) -> None:
        (self._suspicious if task.name in self._suspects else self._again).put(task, ready)

    def _set_aside(self, task: Task, reason: str) -> None:
        self._missing[task.name] = reason
        self._progress.sets_aside(task.name, task.weight, reason)
