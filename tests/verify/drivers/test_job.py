"""Shares of tasks, and what is told of a task whatever it raises."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

import pytest

from aves_artifacts.base.errors import InputError, TerminatedError
from aves_verify.drivers.job import Answer, Settings, StopError, Task, attempt, share, share_of


class Raising:
    def do(self, spec: Any) -> Mapping[str, float]:
        if isinstance(spec, BaseException):
            raise spec
        return spec


def test_shares_are_all_tasks_each_once() -> None:
    tasks = [Task(str(number), number) for number in range(11)]
    shares = [share(tasks, index, 3) for index in (1, 2, 3)]
    assert [task.name for task in shares[1]] == ["1", "4", "7", "10"]
    assert sorted(task.spec for each in shares for task in each) == [*range(11)]


def test_a_share_is_read() -> None:
    assert share_of("2/3") == (2, 3)


@pytest.mark.parametrize(
    "text", ["0/3", "4/3", "3", "1/0", "-1/3", "1/3/5", "a/b", " 1/3", "1/3\n", "\u0661/3", "1" * 10**6]
)
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"expected I/N with I from 1 to N") as refused:
        share_of(text)
    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


def test_numbers_are_told() -> None:
    assert attempt(Raising(), {"windows": 3}) == Answer({"windows": 3.0})


@pytest.mark.parametrize(
    ("raised", "reason", "stops"),
    [
        (InputError("a.wav: empty", "b.wav: empty"), "a.wav: empty b.wav: empty", False),
        (StopError("the table is closed"), "the table is closed", True),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device", True),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system", True),
        (OSError(errno.EIO, "Input/output error"), "Input/output error", False),
        (ValueError("one\n\x1b[2Jtwo"), "ValueError: one \\x1b[2Jtwo", False),
        (SystemExit(3), "SystemExit: 3", False),
    ],
)
def test_what_a_task_raises_is_one_line(raised: BaseException, reason: str, stops: bool) -> None:
    assert attempt(Raising(), raised) == Answer(reason=reason, stops=stops)


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), TerminatedError(143)])
def test_what_ends_the_whole_process_is_raised(raised: BaseException) -> None:
    with pytest.raises(type(raised)):
        attempt(Raising(), raised)


def test_pauses_grow_and_the_last_stays() -> None:
    assert [Settings().pause(failures) for failures in (1, 2, 3, 4)] == [1, 4, 16, 16]
    assert Settings(pauses=()).pause(1) == 0
