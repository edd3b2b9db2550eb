"""Working on several things at once, in threads, and taking turns with other processes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from aves_artifacts.files.writing import make_folder

_WORKERS = 4

Item = TypeVar("Item")
Result = TypeVar("Result")


class StoppedError(Exception):
    """Raised in a thread when the run is to end; what is here by then is kept."""


class TooSlowError(Exception):
    """What was asked of a server takes too long. It may still go on, with whatever it was given."""


def ended(work: Callable[[], Result], seconds: float) -> Result:
    """What ``work`` returns. Raises TooSlowError where that takes longer; it then goes on, and nobody waits."""
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return outcome.result(seconds)
    except LateError:
        if outcome.done():  # its own
            raise
        raise TooSlowError from None


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """Yield an event for threads to watch; it is set when the block ends, also by a signal."""
    stop = threading.Event()
    try:
        yield stop
    finally:
        stop.set()


def each(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Apply ``work`` to every item, several at once; return the results in the items' order.

    The threads are daemons, unlike those of a ThreadPoolExecutor: one that waits for a silent server must not keep a
    stopped run alive.
    """
    waiting: queue.SimpleQueue[tuple[Future[Result], Item]] = queue.SimpleQueue()
    futures: list[Future[Result]] = [Future() for _ in items]
    for task in zip(futures, items, strict=True):
        waiting.put(task)

    def run() -> None:
        while not waiting.empty():
            try:
                future, item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                future.set_result(work(item))
            except BaseException as error:
                future.set_exception(error)

    for _ in range(min(_WORKERS, len(items))):
        threading.Thread(target=run, daemon=True).start()
    return [future.result() for future in futures]


@contextmanager
def pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of threads; where the block ends with an error, what runs is waited for, what waits is dropped."""
    executor = ThreadPoolExecutor(threads)
    try:
        yield executor
    except BaseException:
        executor.shutdown(cancel_futures=True)
        raise
    executor.shutdown()


@contextmanager
def exclusive(path: Path, stop: threading.Event) -> Iterator[None]:
    """Wait until no other thread or process works on this file, and keep others out of it.

    The mark beside the file stays: removing it is a race.
    """
    from filelock import FileLock, Timeout

    make_folder(path.parent)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    while not lock.is_locked:
        if stop.is_set():
            raise StoppedError
        try:
            lock.acquire(timeout=0.5)
        except Timeout:
            continue
    try:
        yield
    finally:
        lock.release()
