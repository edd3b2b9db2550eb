"""Threads that end with the block that uses them."""

import threading

import pytest

from aves_artifacts.files.concurrency import pool


def test_what_waits_is_dropped_when_the_block_fails_and_what_runs_is_waited_for() -> None:
    began, done = threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        done.wait(0.2)
        done.set()

    def fails() -> None:
        with pool(1) as threads:
            threads.submit(slow)
            waiting.append(threads.submit(lambda: None))
            began.wait()
            raise KeyboardInterrupt

    waiting: list[object] = []
    with pytest.raises(KeyboardInterrupt):
        fails()
    assert done.is_set()
    assert waiting[0].cancelled()  # type: ignore[attr-defined]


def test_everything_is_done_when_the_block_ends() -> None:
    with pool(2) as threads:
        tasks = [threads.submit(pow, 2, i) for i in range(5)]
    assert [task.result() for task in tasks] == [1, 2, 4, 8, 16]
