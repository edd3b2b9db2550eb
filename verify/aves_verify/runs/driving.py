"""Who does the tasks of a run: this process, its share of them, workers of its own, or a cluster that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from aves_artifacts.base.errors import InputError
from aves_verify.drivers import alone
from aves_verify.drivers.job import Job, Outcome, Settings, Task, share
from aves_verify.drivers.progress import Form, Progress, Reporter, reporter


@dataclass(frozen=True)
class Crew:
    """How many work, and where. ``share``: these are the first of so many crews that share the tasks.

    ``workers``: processes on this machine; ``scheduler``: the address of a cluster's; neither: this process. ``form``:
    how progress is shown. ``check``: whether parts that are there are read to the last byte, and those that are damaged
    made again. Raises InputError for what does not go together.
    """

    share: tuple[int, int] | None = None
    workers: int | None = None
    scheduler: str | None = None
    settings: Settings = field(default_factory=Settings)
    form: Form = "auto"
    check: bool = False

    def __post_init__(self) -> None:
        if self.workers is not None and self.scheduler is not None:
            raise InputError(
                "workers are of this machine or of a cluster, and not of both", hint="give {workers} or {scheduler}"
            )

    @property
    def is_apart(self) -> bool:
        """Whether other processes do the work."""
        return self.workers is not None or self.scheduler is not None

    @property
    def first(self) -> float:
        """Where among all tasks this crew begins, from 0 to 1, if it is one of several."""
        return 0.0 if self.share is None else (self.share[0] - 1) / self.share[1]

    def own(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """The tasks that this crew has to do, or to have done."""
        return tasks if self.share is None else share(tasks, *self.share)


Doing = Callable[[Job, Sequence[Task], Sequence[Task]], Outcome]


@contextmanager
def at_work(crew: Crew, threads: int) -> Iterator[Doing]:
    """Yield a function that does a job's tasks; it is also given those that are done already, for the progress.

    Workers have so many threads each, and are gone when the block ends. Raises InputError where there are none.
    """
    with reporter(crew.form) as shown:
        if crew.workers is not None:
            from aves_verify.drivers import together
            from aves_verify.drivers.local_workers import local_workers

            with local_workers(crew.workers, threads) as found:
                yield lambda job, tasks, done: together.drive(
                    job, tasks, found, crew.settings, _progress(shown, tasks, done)
                )
        elif crew.scheduler is not None:
            from aves_verify.drivers import cluster, together

            with cluster.at_scheduler(crew.scheduler, crew.settings, Progress(shown, 0, 0).waits) as found:
                yield lambda job, tasks, done: together.drive(
                    job, tasks, found, crew.settings, _progress(shown, tasks, done)
                )
        else:
            yield lambda job, tasks, done: alone.drive(job, tasks, crew.settings, _progress(shown, tasks, done))


def _progress(shown: Reporter, tasks: Sequence[Task], done: Sequence[Task]) -> Progress:
    windows = sum(task.weight for task in done)
    total = windows + sum(task.weight for task in tasks)
    return Progress(shown, len(tasks) + len(done), total, len(done), windows)


def added_up(outcome: Outcome) -> Mapping[str, float]:
    """The numbers of all tasks that were done, added up by name."""
    found: dict[str, float] = {}
    for numbers in outcome.done.values():
        for name, value in numbers.items():
            found[name] = found.get(name, 0.0) + value
    return found
