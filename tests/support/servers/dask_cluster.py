"""A cluster of Dask that is there already: a scheduler and workers in processes of their own, as people start them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PATIENCE = 60  # seconds


@dataclass
class DaskCluster:
    """A scheduler, and workers that are started and ended while tests look on."""

    folder: Path
    address: str = ""
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_scheduler(self) -> None:
        file = self.folder / "scheduler.json"
        file.unlink(missing_ok=True)
        self.scheduler = self._start(
            "scheduler",
            *("--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0", "--no-dashboard"),
            *("--scheduler-file", str(file)),
        )
        until = time.monotonic() + _PATIENCE
        while not file.exists() or not file.read_text("utf-8"):
            assert time.monotonic() < until, "the scheduler does not start"
            time.sleep(0.05)
        self.address = json.loads(file.read_text("utf-8"))["address"]

    def start_worker(self, *, threads: int = 1, first_in_path: Sequence[Path] = ()) -> subprocess.Popen[bytes]:
        """Start a worker without a nanny: nothing replaces it where it is killed."""
        worker = self._start(
            "worker",
            self.address,
            *("--no-nanny", "--no-dashboard", "--nthreads", str(threads), "--memory-limit", "0"),
            *("--local-directory", str(self.folder / f"worker-{len(self.workers)}")),
            first_in_path=first_in_path,
        )
        self.workers.append(worker)
        return worker

    def end(self, *processes: subprocess.Popen[bytes]) -> None:
        for process in processes:
            process.kill()
            process.wait()

    def _start(self, kind: str, *arguments: str, first_in_path: Sequence[Path] = ()) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(map(str, [*first_in_path, *filter(None, sys.path)]))
        with (self.folder / f"{kind}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments],
                env={**os.environ, "PYTHONPATH": path},
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )


@contextlib.contextmanager
def running(folder: Path, workers: int = 0) -> Iterator[DaskCluster]:
    """Run a scheduler with so many workers until the block ends."""
    cluster = DaskCluster(folder)
    try:
        cluster.start_scheduler()
        for _ in range(workers):
            cluster.start_worker()
        yield cluster
    finally:
        cluster.end(*cluster.workers, *filter(None, [cluster.scheduler]))
