"""Tasks in this process: in order, again where they fail, aside where they go on failing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.verify.drivers import toy
from tests.verify.drivers.toy import Spec, Told, ToyJob

from aves_verify.drivers.alone import drive
from aves_verify.drivers.job import Outcome, Settings, Task
from aves_verify.drivers.progress import Event

AT_ONCE = Settings(retries=2, pauses=(0.0,))


def driven(job: ToyJob, tasks: list[Task], settings: Settings = AT_ONCE) -> tuple[Outcome, list[Event]]:
    told = Told()
    return drive(job, tasks, settings, told.progress(len(tasks))), told.events


def test_tasks_are_done_in_order_and_told(tmp_path: Path) -> None:
    outcome, events = driven(ToyJob(tmp_path), toy.tasks(3))
    assert outcome == Outcome({f"t00{n}": {"windows": 1, "square": n * n} for n in range(3)}, {})
    assert [(event.event, event.task, event.done) for event in events] == [
        ("start", "", 0),
        ("task", "t000", 1),
        ("task", "t001", 2),
        ("task", "t002", 3),
        ("end", "", 3),
    ]
    assert toy.parts(tmp_path) == {"t000": "0\n", "t001": "1\n", "t002": "4\n"}


def test_what_fails_is_tried_again_after_the_others(tmp_path: Path) -> None:
    outcome, events = driven(ToyJob(tmp_path), [Task("a", Spec("a", 1, fails=2)), *toy.tasks(2)])
    assert [*outcome.done] == ["t000", "t001", "a"]
    assert not outcome.missing
    assert [event.reason for event in events if event.event == "retry"] == ["RuntimeError: not this time"] * 2


def test_what_goes_on_failing_is_set_aside_and_the_others_are_done(tmp_path: Path) -> None:
    outcome, events = driven(ToyJob(tmp_path), [Task("a", Spec("a", 1, fails=9)), *toy.tasks(2)])
    assert outcome.missing == {"a": "RuntimeError: not this time"}
    assert [*outcome.done] == ["t000", "t001"]
    assert [event.task for event in events if event.event == "set-aside"] == ["a"]
    assert len([*(tmp_path / toy.TIMES).glob("a.*")]) == 3


def test_where_nothing_can_be_written_the_run_ends_and_what_is_done_stays(tmp_path: Path) -> None:
    first, second, third = toy.tasks(3)
    outcome, events = driven(ToyJob(tmp_path), [first, Task("b", Spec("b", 1, stops=True)), second, third])
    assert ([*outcome.done], outcome.missing) == (["t000"], {})
    assert outcome.stopped == events[-1].reason == "nothing can be written any more"


def test_files_lie_where_they_lie(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("weights", "utf-8")
    driven(ToyJob(tmp_path, files=(tmp_path / "model",)), toy.tasks(1))
    assert toy.parts(tmp_path) == {"t000": "0\nweights"}


def test_a_job_that_does_not_open_ends_the_run(tmp_path: Path) -> None:
    assert driven(ToyJob(tmp_path, opens=False), toy.tasks(2))[0] == Outcome({}, {}, "OSError: broken")


def test_nothing_to_do_opens_nothing(tmp_path: Path) -> None:
    assert driven(ToyJob(tmp_path, opens=False), [])[0] == Outcome({}, {})


def test_two_tasks_of_one_name_are_a_mistake_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one name"):
        driven(ToyJob(tmp_path), toy.tasks(1) * 2)
