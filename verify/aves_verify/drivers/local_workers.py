"""Workers on this machine: processes of Dask that are watched, replaced, and gone when a run is over."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aves_artifacts.base.extras import need
from aves_verify.drivers.cluster import Cluster
from aves_verify.drivers.silence import silent

_DEATHS = 3  # of workers, until the scheduler gives a task up
_CLOSING = 1.0  # seconds for a worker to end by itself
_RESTART = 3.0  # seconds in which a nanny starts a process in the place of another
_ANSWER = 10.0  # seconds for all else that is awaited
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@contextmanager
def local_workers(count: int, threads: int = 1) -> Iterator[Cluster]:
    """Start processes on this machine, each with so many threads of computation; they are gone when the block ends.

    A worker that dies is replaced. Each does one task at a time, and its memory is not limited by Dask.
    """
    need("a run with several workers", "dask")
    import dask
    from distributed import Client, LocalCluster

    config = {
        "distributed.worker.daemon": False,  # encoders run in processes that a worker starts
        "distributed.scheduler.allowed-failures": _DEATHS - 1,
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(_THREADS, str(threads)),
    }
    with (
        silent(),
        tempfile.TemporaryDirectory(prefix="aves-workers-", ignore_cleanup_errors=True) as folder,
        dask.config.set(config),
        _environment(dict.fromkeys(_THREADS, str(threads))),
    ):
        with _untouched_by_interrupts(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cluster = LocalCluster(
                n_workers=0,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                memory_limit=None,
                local_directory=folder,
                silence_logs=logging.CRITICAL,
                preload=["aves_verify.drivers.at_worker"],
            )
        try:
            cluster.scale(count)
            with Client(cluster, set_as_default=False) as client:
                yield Cluster(client, keep=_Keeper(cluster, count).keep)
        finally:
            _end(cluster)


@dataclass
class _Keeper:
    """Replaces what watches a worker where that gave up: Dask's nannies do when a worker dies as it starts."""

    cluster: Any
    count: int
    down: dict[Any, float] = field(default_factory=dict)  # since when a worker has had no process

    def keep(self) -> None:
        """Look whether all workers have processes, and start those anew that have had none for too long."""
        with suppress(Exception):  # the scheduler may be gone: who asks it next tells
            self.cluster.sync(self._keep, callback_timeout=_ANSWER)

    async def _keep(self) -> None:
        workers, now = self.cluster.workers, time.monotonic()
        down = {name for name, nanny in workers.items() if nanny.process is None or not nanny.process.is_alive()}
        self.down = {name: self.down.get(name, now) for name in down}
        given_up = [name for name, since in self.down.items() if now - since > _RESTART]
        for name in given_up:
            nanny = workers.pop(name)
            with suppress(Exception):
                await asyncio.wait_for(nanny.close(timeout=_CLOSING), 2 * _CLOSING)
        if given_up or len(workers) < self.count:
            self.cluster.scale(self.count)


def _end(cluster: Any) -> None:
    """End the workers, whatever they are at, and the scheduler."""

    async def ended() -> None:
        await asyncio.gather(
            *(nanny.close(timeout=_CLOSING) for nanny in cluster.workers.values()), return_exceptions=True
        )

    with suppress(Exception):
        cluster.sync(ended)
    with suppress(Exception):
        cluster.close(timeout=_ANSWER)


@contextmanager
def _untouched_by_interrupts() -> Iterator[None]:
    """Have threads that start in the block, and the processes that these start, not see Ctrl-C.

    A terminal sends it to all of them: this process ends the run, and workers would only print where they were.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables that processes started in the block inherit: libraries read them when they are imported."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
