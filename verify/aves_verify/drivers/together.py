"""Doing tasks at the workers of a cluster, each once, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import pickle
import queue
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from aves_artifacts.base.errors import InputError, raise_if_any
from aves_artifacts.base.messages import first_line, printable, reason_of
from aves_verify.drivers import at_worker
from aves_verify.drivers.at_worker import Order
from aves_verify.drivers.cluster import Cluster, versions_here, wait_for_workers
from aves_verify.drivers.course import Course
from aves_verify.drivers.job import Answer, Job, Outcome, Settings, Task
from aves_verify.drivers.parcels import Parcel, packed, pieces
from aves_verify.drivers.progress import Progress

_BEAT = 1.0  # seconds between two looks at who is there
_MOST_SENT = 3  # times; a worker that then still lacks files does not keep them


def drive(job: Job, tasks: Sequence[Task], cluster: Cluster, settings: Settings, progress: Progress) -> Outcome:
    """Do all tasks at the workers of a cluster.

    What fails is tried again after all others, and what kills workers alone at the very end. Raises InputError where
    the scheduler is gone, or all workers are and none comes back: what is done stays done. Ctrl-C is raised on, once
    what nobody has begun is taken back.
    """
    course = Course(tasks, settings, progress)
    with progress.running():
        if tasks:
            flight = _Flight(job, cluster, settings, progress)
            try:
                flight.send_files(sorted(flight.look()))
                while not course.stopped and _step(flight, course):
                    flight.look()
            finally:
                flight.end()
        progress.ends(course.stopped)
    return course.outcome


def _step(flight: _Flight, course: Course) -> bool:
    """Begin tasks where there is room, and wait a moment for one; return whether there is more to do."""
    while flight.has_room and (task := course.next(len(flight.tasks))):
        flight.begin(task)
    if flight.tasks:
        flight.take_in(course)
    elif course.is_doubtful:
        flight.try_opening(course)
    elif (pause := course.pause) is not None:
        time.sleep(min(pause, _BEAT))
    else:
        return False
    return True


class _Flight:
    """The tasks that are at workers, and who those are."""

    def __init__(self, job: Job, cluster: Cluster, settings: Settings, progress: Progress) -> None:
        self.tasks: dict[Any, Task] = {}  # by their futures
        self._cluster, self._settings, self._progress = cluster, settings, progress
        self._parcels: tuple[Parcel, ...] | None = None
        if cluster.address:
            try:
                self._parcels = packed(job.files)
            except OSError as error:
                raise InputError(f"{printable(str(error.filename))}: cannot be read: {reason_of(error)}") from None
        self._order = pickle.dumps(Order(job, self._parcels, versions_here()))
        self._landed: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._workers: set[str] = set()
        self._looked = 0.0
        self._sent: Counter[str] = Counter()  # how often files were sent to a worker
        self._name, self._count = f"aves-{uuid.uuid4().hex}", 0

    @property
    def has_room(self) -> bool:
        """Whether workers want more tasks."""
        return len(self.tasks) < self._settings.ahead * len(self._workers)

    def look(self) -> set[str]:
        """Look who is there, if the last look is a while ago; wait where nobody is. Raises InputError."""
        if time.monotonic() - self._looked < _BEAT:
            return self._workers
        found = self._cluster.workers()
        for worker in sorted(self._workers - found):
            self._progress.lost(worker)
        if not found:
            wait_for_workers(self._cluster, self._settings, self._progress.waits)
            found = self._cluster.workers()
        self._workers, self._looked = found, time.monotonic()
        return found

    def begin(self, task: Task) -> None:
        """Send a task to whichever worker has room."""
        self._watch(self._submitted(pickle.dumps(task.spec)), task)

    def _submitted(self, spec: bytes) -> Any:
        self._count += 1
        try:
            return self._cluster.client.submit(
                at_worker.perform, self._order, spec, key=(self._name, self._count), pure=False
            )
        except (OSError, RuntimeError):
            raise self._cluster.gone() from None

    def take_in(self, course: Course) -> None:
        """Wait a moment for a task that is through, and tell the course of it. Raises InputError."""
        try:
            future = self._landed.get(timeout=_BEAT)
        except queue.Empty:
            return
        task = self.tasks.pop(future)
        found = self._result(future)
        if found is None:
            self._watch(future, task)
        elif isinstance(found, int):
            course.died(task, found)
        elif found.lacks:
            self.send_files([found.lacks])
            course.not_tried(task)
        else:
            course.answered(task, found)

    def try_opening(self, course: Course) -> None:
        """Have one worker open the job and do nothing else, and end the run if that kills it. Raises InputError."""
        future = self._submitted(at_worker.NO_TASK)
        while (found := self._result(future)) is None or (isinstance(found, Answer) and found.lacks):
            if found is not None:
                self.send_files([found.lacks])
                future = self._submitted(at_worker.NO_TASK)
            self.look()
        if isinstance(found, int):
            course.stopped = f"{found} workers died as they opened what all tasks need: perhaps for lack of memory"
        elif found.stops:
            course.answered(Task("", None), found)
        else:
            course.trust()

    def _result(self, future: Any) -> Answer | int | None:
        """What came of a task: an answer, or how many workers died that had it; None where it is to be waited for."""
        from distributed import CancelledError, KilledWorker

        try:
            answer: Answer = future.result(timeout=_BEAT)
        except (TimeoutError, asyncio.TimeoutError):  # also where its worker died with the answer: it is done again
            return None
        except KilledWorker as error:
            return int(error.allowed_failures) + 1
        except CancelledError:
            raise self._cluster.gone() from None
        except Exception as error:  # our own function tells of all that a task raises: this one is not ours
            raise InputError(
                f"{self._cluster.called} has a worker that cannot run tasks: {first_line(error)}"
            ) from None
        return answer

    def _watch(self, future: Any, task: Task) -> None:
        self.tasks[future] = task
        future.add_done_callback(self._landed.put)

    def send_files(self, workers: list[str]) -> None:
        """Send the job's files to workers that lack them, all at once. Raises InputError where one cannot keep them."""
        if not self._parcels or not workers:
            return
        lacking = self._asked(at_worker.lacking, self._parcels, workers=workers)
        for worker in workers:
            self._sent[worker] += 1
            if self._sent[worker] > _MOST_SENT:
                raise InputError(f"worker {worker} does not keep the files that are sent to it")
        for parcel in self._parcels:
            wanting = [worker for worker, lacks in lacking.items() if parcel in lacks]
            try:
                for at, piece in pieces(parcel) if wanting else ():
                    said = self._asked(at_worker.receive, parcel, at, piece, self._name, workers=wanting)
                    raise_if_any(
                        [f"worker {worker}: {problem}" for worker, problem in said.items() if problem], "files"
                    )
            except OSError as error:
                raise InputError(f"{printable(parcel.path)}: cannot be read: {reason_of(error)}") from None

    def _asked(self, function: Callable[..., Any], *arguments: Any, workers: list[str]) -> dict[str, Any]:
        """What a function returns at workers. Raises InputError where it raised something."""
        said = self._cluster.run(function, *arguments, workers=workers)
        failed = {worker: value for worker, value in said.items() if isinstance(value, Exception)}
        raise_if_any([f"worker {worker}: {first_line(error)}" for worker, error in failed.items()], "files")
        return said

    def end(self) -> None:
        """Take back what is still under way; what a worker has begun it finishes, and nobody asks for it."""
        with suppress(Exception):  # the scheduler may be gone
            if self.tasks and self._cluster.client.status == "running":
                self._cluster.client.cancel(list(self.tasks), force=True)
        self.tasks.clear()
