"""Doing tasks in this process, one after the other."""

from __future__ import annotations

import time
from collections.abc import Sequence

from aves_verify.drivers.course import Course
from aves_verify.drivers.job import Job, Outcome, Settings, StopError, Task, attempt, opened
from aves_verify.drivers.progress import Progress


def drive(job: Job, tasks: Sequence[Task], settings: Settings, progress: Progress) -> Outcome:
    """Do all tasks in order, and those that failed again after them. Ctrl-C is raised on: what is done stays done."""
    course = Course(tasks, settings, progress)
    with progress.running():
        try:
            worker = opened(job, {path: path for path in job.files}) if tasks else None
        except StopError as error:
            course.stopped, worker = str(error), None
        while worker is not None and (task := _next(course)):
            course.answered(task, attempt(worker, task.spec))
        progress.ends(course.stopped)
    return course.outcome


def _next(course: Course) -> Task | None:
    """The next task, once its time has come; None where none is left."""
    while (task := course.next(0)) is None and (pause := course.pause) is not None:
        time.sleep(pause)
    return task
