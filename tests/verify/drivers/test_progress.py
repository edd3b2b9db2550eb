"""What is told of a run: bars on terminals, lines for programs, nothing in a pipe; and how long it still takes."""

from __future__ import annotations

import io
import json
from datetime import datetime

import pytest
from tests.verify.drivers.toy import Told

from aves_artifacts.base.errors import InputError
from aves_verify.drivers.progress import Form, Nothing, Progress, reporter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_of_what_this_run_did_of_late() -> None:
    told, clock = Told(), Clock()
    progress = Progress(told, tasks=1000, of=1000, done=600, windows=600, clock=clock)
    with progress.running():
        assert (told.events[-1].rate, told.events[-1].seconds_left) == (None, None)
        for _ in range(100):  # at first a window each ten seconds
            clock.now += 10
            progress.did("slow", 1)
        assert (told.events[-1].rate, told.events[-1].seconds_left) == (0.1, 3000)
        for _ in range(200):  # then one a second
            clock.now += 1
            progress.did("fast", 1)
    assert told.events[-1].rate == pytest.approx(1, rel=0.02)
    assert told.events[-1].done == told.events[-1].windows == 900


def test_what_is_set_aside_is_not_waited_for() -> None:
    told, clock = Told(), Clock()
    progress = Progress(told, tasks=3, of=30, clock=clock)
    with progress.running():
        clock.now += 10
        progress.did("a", 10)
        progress.sets_aside("b", 10, "broken")
    assert told.events[-1].seconds_left == 10


def test_programs_get_a_line_for_each_event() -> None:
    stream, clock = io.StringIO(), Clock()
    with reporter("json", stream) as shown:
        progress = Progress(shown, tasks=2, of=64, clock=clock)
        with progress.running():
            clock.now += 4
            progress.did("a\x1b[2J", 32)
            progress.retries("b", "one\ntwo \u202e")
            progress.sets_aside("b", 32, "no")
            progress.lost("tcp://10.0.0.1:1")
            progress.waits("no workers")
            progress.ends("the disk is full")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["start", "task", "retry", "set-aside", "worker-lost", "waiting", "end"]
    assert all(datetime.fromisoformat(line.pop("time")).tzinfo for line in lines)
    numbers = {"done": 1, "tasks": 2, "windows": 32, "of": 64, "rate": 8.0}
    assert lines[1] == {"event": "task", "task": "a\\x1b[2J", **numbers, "seconds_left": 4.0}
    assert lines[2]["reason"] == "one two \\u202e"
    assert stream.getvalue().isascii()


def test_a_reader_that_went_away_ends_no_run() -> None:
    stream = io.StringIO()
    with reporter("json", stream) as shown:
        stream.close()
        Progress(shown, 1, 1).lost("tcp://10.0.0.1:1")


@pytest.mark.parametrize("form", ["auto", "bar", "none"])
def test_a_pipe_stays_empty(form: Form) -> None:
    stream = io.StringIO()
    with reporter(form, stream) as shown:
        assert isinstance(shown, Nothing)
        Progress(shown, 1, 1).lost("tcp://10.0.0.1:1")
    assert not stream.getvalue()


def test_a_terminal_has_a_bar_and_lines_for_what_went_wrong() -> None:
    stream, clock = Terminal(), Clock()
    with reporter("auto", stream) as shown:
        progress = Progress(shown, tasks=9, of=9, clock=clock)
        with progress.running():
            clock.now += 600
            progress.did("a", 1)
            progress.retries("[red]b", "x\x07y")
            progress.waits("the scheduler has no workers")
    assert "retry: [red]b: x\\x07y" in stream.getvalue()
    assert "1/9 tasks" in stream.getvalue()
    assert "\x07" not in stream.getvalue()


def test_nothing_is_shown_on_a_terminal_where_nothing_is_asked_for() -> None:
    with reporter("none", Terminal()) as shown:
        assert isinstance(shown, Nothing)


@pytest.mark.parametrize(
    ("raised", "told_as"),
    [(InputError("no scheduler"), "no scheduler"), (KeyboardInterrupt(), "ended by KeyboardInterrupt")],
)
def test_a_run_that_is_ended_says_so(raised: BaseException, told_as: str) -> None:
    told = Told()
    with pytest.raises(type(raised)), Progress(told, 1, 1).running():
        raise raised
    assert [(event.event, event.reason) for event in told.events] == [("start", ""), ("end", told_as)]
