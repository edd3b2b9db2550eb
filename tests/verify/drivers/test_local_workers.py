"""Tasks in several processes here: the same parts as in one, whatever dies."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.verify.drivers import toy
from tests.verify.drivers.toy import Spec, Told, ToyJob

from aves_verify.drivers import alone, together
from aves_verify.drivers.cluster import Cluster
from aves_verify.drivers.job import Outcome, Settings, Task
from aves_verify.drivers.local_workers import local_workers

pytestmark = pytest.mark.slow

AT_ONCE = Settings(retries=2, pauses=(0.0,))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with local_workers(2) as cluster:
        yield cluster


def driven(job: ToyJob, tasks: list[Task], cluster: Cluster, told: Told | None = None) -> Outcome:
    return together.drive(job, tasks, cluster, AT_ONCE, (told or Told()).progress(len(tasks)))


def pids(cluster: Cluster) -> list[int]:
    """The processes of workers that are up."""
    return [nanny.pid for nanny in cluster.client.cluster.workers.values() if nanny.pid]


def test_parts_are_those_of_one_process_and_each_opens_once(cluster: Cluster, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    done = alone.drive(ToyJob(one), toy.tasks(40), AT_ONCE, Told().progress(40))
    outcome = driven(ToyJob(two, key="equal"), toy.tasks(40), cluster)
    assert outcome == done
    assert toy.parts(one) == toy.parts(two)
    assert len([*two.glob("opened-*")]) == 2


def test_what_fails_is_tried_again_and_what_goes_on_failing_is_set_aside(cluster: Cluster, tmp_path: Path) -> None:
    tasks = [Task("twice", Spec("twice", 1, fails=2)), Task("ever", Spec("ever", 1, fails=9)), *toy.tasks(5)]
    told = Told()
    outcome = driven(ToyJob(tmp_path, key="fails"), tasks, cluster, told)
    assert outcome.missing == {"ever": "RuntimeError: not this time"}
    assert sorted(outcome.done) == ["t000", "t001", "t002", "t003", "t004", "twice"]
    assert sorted(event.task for event in told.events if event.event == "retry") == ["ever", "ever", "twice", "twice"]


def test_where_nothing_can_be_written_the_run_ends(cluster: Cluster, tmp_path: Path) -> None:
    tasks = [Task("full", Spec("full", 1, stops=True)), *toy.tasks(200, seconds=0.01)]
    outcome = driven(ToyJob(tmp_path, key="stops"), tasks, cluster)
    assert outcome.stopped == "nothing can be written any more"
    assert not outcome.missing
    assert len(outcome.done) < 10


def test_a_job_that_does_not_open_ends_the_run(cluster: Cluster, tmp_path: Path) -> None:
    outcome = driven(ToyJob(tmp_path, key="closed", opens=False), toy.tasks(9), cluster)
    assert outcome.stopped.startswith("worker tcp://127.0.0.1:")
    assert outcome.stopped.endswith(": OSError: broken")


def test_few_tasks_are_under_way_however_many_there_are(cluster: Cluster, tmp_path: Path) -> None:
    most = 0

    class Watching(Told):
        def tell(self, event: Any) -> None:
            nonlocal most
            most = max(most, len(cluster.client.cluster.scheduler.tasks))
            super().tell(event)

    driven(ToyJob(tmp_path, key="few"), toy.tasks(100), cluster, Watching())
    assert 0 < most <= 2 * 2 + 2  # and those that were just done


def test_workers_have_so_many_threads_and_end_with_the_run(tmp_path: Path) -> None:
    kept = os.environ.get("OMP_NUM_THREADS")
    with local_workers(1, threads=3) as cluster:
        assert [*cluster.client.run(os.getenv, "OMP_NUM_THREADS").values()] == ["3"]
        folder = Path(next(iter(cluster.client.run(_folder).values())))
        (pid,) = pids(cluster)
        driven(ToyJob(tmp_path, key="ends"), toy.tasks(1), cluster)
    assert os.environ.get("OMP_NUM_THREADS") == kept
    assert not folder.parents[1].exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def _folder(dask_worker: Any) -> str:
    return str(dask_worker.local_directory)


class Killer(threading.Thread):
    """Kills workers at random moments, and the first that takes another's place as it starts."""

    def __init__(self, cluster: Cluster, most: int) -> None:
        super().__init__()
        self.cluster, self.most, self.over = cluster, most, threading.Event()
        self.killed: list[int] = []

    def run(self) -> None:
        chance = random.Random(1)  # noqa: S311 - moments, not secrets
        known = set(pids(self.cluster))
        while len(self.killed) < self.most and not self.over.wait(0.01):
            running = pids(self.cluster)
            fresh = [pid for pid in running if pid not in known]
            if len(self.killed) == 1 and fresh:
                self.kill(fresh[0])
            elif len(self.killed) != 1 and running and chance.random() < 0.03:
                self.kill(chance.choice(running))

    def kill(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.killed.append(pid)


def test_whatever_is_killed_everything_is_done(cluster: Cluster, tmp_path: Path) -> None:
    killer, told = Killer(cluster, 4), Told()
    killer.start()
    try:
        outcome = driven(ToyJob(tmp_path, key="killed"), toy.tasks(60, seconds=0.1), cluster, told)
    finally:
        killer.over.set()
        killer.join()
    assert len(killer.killed) >= 2
    assert not outcome.missing
    assert len(outcome.done) == len(toy.parts(tmp_path)) == 60
    assert any(event.event == "worker-lost" for event in told.events)


@pytest.fixture
def at_first_death(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single death makes a task suspicious, and a single suspicious task makes the job so."""
    monkeypatch.setattr("aves_verify.drivers.course._DOUBT", 1)
    monkeypatch.setattr(cluster.client.cluster.scheduler, "allowed_failures", 0)


@pytest.mark.usefixtures("at_first_death")
def test_what_kills_its_worker_is_set_aside_and_nothing_else(cluster: Cluster, tmp_path: Path) -> None:
    tasks = [Task("killer", Spec("killer", 1, kills=99)), *toy.tasks(12, seconds=0.02)]
    outcome = driven(ToyJob(tmp_path, key="killer"), tasks, cluster)
    assert outcome.missing == {"killer": "killed its worker 2 times"}
    assert len(outcome.done) == 12


@pytest.mark.usefixtures("at_first_death")
def test_where_workers_die_before_their_tasks_the_run_ends(cluster: Cluster, tmp_path: Path) -> None:
    outcome = driven(ToyJob(tmp_path, key="kills", kills=True), toy.tasks(1000), cluster)
    assert outcome.stopped == "1 workers died as they opened what all tasks need: perhaps for lack of memory"
    assert not outcome.missing
