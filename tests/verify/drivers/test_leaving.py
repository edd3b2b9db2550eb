"""However a run is ended, its processes go with it, and the files that are there are whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.verify.drivers import toy
from tests.verify.drivers.toy import Told, ToyJob

from aves_verify.drivers import alone, together
from aves_verify.drivers.job import Settings
from aves_verify.drivers.local_workers import local_workers

pytestmark = pytest.mark.slow

TASKS = 400


def main(folder: str, workers: int) -> None:
    """What the other process runs, as a command of ours would: SIGTERM is an orderly end there."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    job, tasks, progress = ToyJob(Path(folder)), toy.tasks(TASKS, seconds=0.1, starts=True), Told().progress(TASKS)
    if workers:
        with local_workers(workers) as cluster:
            together.drive(job, tasks, cluster, Settings(), progress)
    else:
        alone.drive(job, tasks, Settings(), progress)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int]) -> bool:
    until = time.monotonic() + 20
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(alive, pids))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("sent", "to_all", "workers", "status"),
    [
        (signal.SIGINT, True, 2, -signal.SIGINT),  # Ctrl-C in a terminal
        (signal.SIGTERM, False, 2, 143),
        (signal.SIGKILL, False, 2, -signal.SIGKILL),
        (signal.SIGINT, True, 0, -signal.SIGINT),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGKILL", "Ctrl-C alone"],
)
def test_nothing_is_left(sent: signal.Signals, to_all: bool, workers: int, status: int, tmp_path: Path) -> None:
    scratch, parts = tmp_path / "scratch", tmp_path / "parts"
    scratch.mkdir()
    parts.mkdir()
    program = f"import {__name__} as here; here.main({str(parts)!r}, {workers})"
    run = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TMPDIR": str(scratch)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while len([*parts.glob("*.part")]) < 5:
        assert run.poll() is None, run.communicate()[0]
        time.sleep(0.05)
    pids = [int(path.name.rpartition("-")[2]) for path in parts.glob("opened-*")]
    assert len(pids) == max(1, workers)
    pids += [int(path.name.rpartition("-")[2]) for path in parts.glob("started-*")]  # by workers
    (os.killpg if to_all else os.kill)(run.pid, sent)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == status, said
    assert gone(pids)
    made = toy.parts(parts)
    assert 5 <= len(made) < TASKS
    assert all(text == f"{int(name[1:]) ** 2}\n" for name, text in made.items())
    if sent != signal.SIGKILL:
        assert not [*scratch.glob("aves-workers-*")]
        assert said.count("Traceback") == (sent == signal.SIGINT), said  # of this process, which has no command around


def test_a_run_that_was_ended_goes_on(tmp_path: Path) -> None:
    class Interrupting(Told):
        def tell(self, event: object) -> None:
            super().tell(event)  # type: ignore[arg-type]
            if len(self.events) == 5:
                raise KeyboardInterrupt

    tasks = toy.tasks(12, seconds=0.01)
    with local_workers(1) as cluster:
        with pytest.raises(KeyboardInterrupt):
            together.drive(ToyJob(tmp_path), tasks, cluster, Settings(), Interrupting().progress(12))
        left = [task for task in tasks if task.name not in toy.parts(tmp_path)]
        outcome = together.drive(ToyJob(tmp_path), left, cluster, Settings(), Told().progress(len(left)))
    assert len(outcome.done) == len(left) < 12
    assert len(toy.parts(tmp_path)) == 12
