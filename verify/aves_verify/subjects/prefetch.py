"""Making one encoder's files while the one before it is verified, where there are cores to spare."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import psutil
import torch

from aves_convert.conversion.bundle import BUNDLE_THREADS
from aves_verify.subjects.subject import Pending, Subject


@contextmanager
def made_ahead(subjects: Sequence[Pending], *, spare: int | None = None) -> Iterator[Sequence[Pending]]:
    """Yield the same subjects; while one of them is in use, the next one's files are made in a thread.

    ``spare`` is the number of cores that the forward passes leave idle, by default the physical ones beyond torch's
    threads: a core's second thread takes from the first.
    Fewer than a bundle is written with, and the subjects are given back as they are: their timings may not be
    disturbed. Two subjects' files exist at a time, 1.2 GB each at base size. What was begun and never used is removed
    in the end.
    """
    idle = _cores() - torch.get_num_threads() if spare is None else spare
    if idle < BUNDLE_THREADS or len(subjects) < 2:
        yield subjects
        return
    with ThreadPoolExecutor(1, thread_name_prefix="made-ahead") as pool:
        files: list[_Files] = []
        for pending in reversed(subjects):
            files.insert(0, _Files(pending.files, pool, files[0] if files else None))
        try:
            yield [dataclasses.replace(pending, files=own) for pending, own in zip(subjects, files, strict=True)]
        finally:
            for own in files:
                own.abandon()


class _Files(AbstractContextManager[Subject]):
    """A subject's files, begun early."""

    def __init__(self, files: AbstractContextManager[Subject], pool: ThreadPoolExecutor, after: _Files | None) -> None:
        self._files, self._pool, self._after = files, pool, after
        self._begun: Future[Subject] | None = None
        self._entered = False

    def begin(self) -> Future[Subject]:
        if self._begun is None:
            self._begun = self._pool.submit(self._files.__enter__)
        return self._begun

    def abandon(self) -> None:
        """Remove what was begun and never used."""
        if self._begun is not None and not self._entered and not self._begun.cancel() and not self._begun.exception():
            self._files.__exit__(None, None, None)

    def __enter__(self) -> Subject:
        subject = self.begin().result()
        self._entered = True
        if self._after is not None:
            self._after.begin()
        return subject

    def __exit__(self, *error: object) -> bool | None:
        return self._files.__exit__(*error)  # type: ignore[arg-type]


def _cores() -> int:
    """Physical ones that this process may use, where those are whole cores. A quota of time is not seen."""
    threads = os.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else threads
    return min(physical, allowed * physical // threads)
