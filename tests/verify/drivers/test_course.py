"""Which task is next: those that failed after the others, and those whose workers died at the very end, alone."""

from __future__ import annotations

from tests.verify.drivers import toy
from tests.verify.drivers.toy import Told

from aves_verify.drivers.course import Course
from aves_verify.drivers.job import Answer, Settings, Task

DONE, FAILED = Answer({}), Answer(reason="not this time")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def course(tasks: int, settings: Settings = Settings(), clock: Clock | None = None) -> Course:
    return Course(toy.tasks(tasks), settings, Told().progress(tasks), clock or Clock())


def names(*tasks: Task | None) -> list[str]:
    return [task.name if task else "" for task in tasks]


def begun(course: Course, under_way: int = 0) -> Task:
    task = course.next(under_way)
    assert task is not None
    return task


def test_what_fails_waits_for_its_pause() -> None:
    clock = Clock()
    run = course(2, Settings(retries=2, pauses=(1.0, 4.0)), clock)
    run.answered(begun(run), FAILED)
    run.answered(begun(run), DONE)
    assert (run.next(0), run.pause) == (None, 1.0)
    clock.now = 1.5
    run.answered(begun(run), FAILED)
    assert (run.next(0), run.pause) == (None, 4.0)
    clock.now = 6
    run.answered(begun(run), FAILED)
    assert (run.next(0), run.pause) == (None, None)
    assert run.outcome.missing == {"t000": "not this time"}


def test_what_is_suspicious_is_alone_and_last() -> None:
    run = course(3)
    first, second, third = begun(run), begun(run, 1), begun(run, 2)
    run.answered(third, DONE)
    run.died(first, 4)
    run.died(second, 4)
    assert names(run.next(1), run.next(0), run.next(1)) == ["", "t000", ""]
    run.answered(first, DONE)
    assert names(run.next(0)) == ["t001"]
    run.answered(second, FAILED)
    assert not run.outcome.missing


def test_deaths_count_where_a_task_was_alone() -> None:
    run = course(1, Settings(retries=3))
    run.died(begun(run), 9)
    for _ in range(2):
        run.died(begun(run), 1)
        assert not run.outcome.missing
    run.died(begun(run), 1)
    assert run.outcome.missing == {"t000": "killed its worker 3 times"}


def test_where_the_first_workers_all_die_nothing_is_begun_until_one_is_trusted() -> None:
    run = course(9)
    for task in [begun(run, number) for number in range(4)]:
        run.died(task, 3)
    assert run.is_doubtful
    assert run.next(0) is None
    run.trust()
    assert names(run.next(0)) == ["t004"]


def test_what_could_not_be_begun_has_not_failed() -> None:
    run = course(1, Settings(retries=0))
    for _ in range(5):
        run.not_tried(begun(run))
    run.answered(begun(run), DONE)
    assert [*run.outcome.done] == ["t000"]


def test_after_a_stop_nothing_is_begun() -> None:
    run = course(3)
    run.answered(begun(run), Answer(reason="the disk is full", stops=True))
    assert (run.next(0), run.pause, run.outcome.stopped) == (None, None, "the disk is full")
