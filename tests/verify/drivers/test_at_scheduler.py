"""Tasks at a cluster that others started: files travel, versions are compared, and what is lost is told."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.support.servers.dask_cluster import DaskCluster, running
from tests.verify.drivers import toy
from tests.verify.drivers.toy import Spec, Told, ToyJob

from aves_artifacts.base.errors import InputError
from aves_verify.drivers import cluster as clusters
from aves_verify.drivers import together
from aves_verify.drivers.at_worker import PACKAGES
from aves_verify.drivers.cluster import at_scheduler
from aves_verify.drivers.job import Outcome, Settings, Task

pytestmark = pytest.mark.slow

AT_ONCE = Settings(retries=2, pauses=(0.0,))
IMPATIENT = Settings(retries=2, pauses=(0.0,), patience=0.5)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with running(tmp_path_factory.mktemp("servers"), workers=1) as cluster:
        cluster.start_worker(threads=3)
        yield cluster


def driven(
    job: ToyJob, tasks: list[Task], address: str, settings: Settings = AT_ONCE, told: Told | None = None
) -> Outcome:
    with at_scheduler(address) as cluster:
        return together.drive(job, tasks, cluster, settings, (told or Told()).progress(len(tasks)))


def model(folder: Path, text: str = "weights") -> tuple[Path, Path]:
    """Two files that find each other by their names, in a folder that a worker has not."""
    folder.mkdir()
    (folder / "model.onnx").write_text(text, "utf-8")
    (folder / "model.onnx.data").write_text("", "utf-8")
    return folder / "model.onnx", folder / "model.onnx.data"


def test_files_travel_once_and_those_of_one_folder_stay_together(servers: DaskCluster, tmp_path: Path) -> None:
    job = ToyJob(tmp_path, key="files", files=model(tmp_path / "here"))
    outcome = driven(job, toy.tasks(20, seconds=0.05), servers.address)
    assert len(outcome.done) == 20
    assert toy.parts(tmp_path) == {f"t{n:03}": f"{n * n}\nweights" for n in range(20)}
    places = sorted(servers.folder.glob("worker-*/**/aves-files/*/*"))
    assert [place.name for place in places] == ["model.onnx", "model.onnx.data"] * 2
    written = [place.stat().st_mtime_ns for place in places]
    driven(job, toy.tasks(4), servers.address)
    assert [place.stat().st_mtime_ns for place in places] == written


def test_a_worker_of_several_threads_does_one_task_at_a_time(servers: DaskCluster, tmp_path: Path) -> None:
    driven(ToyJob(tmp_path, key="one at a time"), toy.tasks(20, seconds=0.02), servers.address)
    assert sorted((tmp_path / "most").read_text("utf-8").splitlines()) == ["1"] * 20


def test_a_worker_that_joins_later_gets_the_files_too(servers: DaskCluster, tmp_path: Path) -> None:
    def joins() -> None:
        while not [*tmp_path.glob("*.part")]:
            time.sleep(0.05)
        servers.start_worker()

    joining = threading.Thread(target=joins)
    joining.start()
    job = ToyJob(tmp_path, key="later", files=model(tmp_path / "here", "later"))
    try:
        waiting = [Task(f"w{n}", Spec(f"w{n}", n, until=3)) for n in range(6)]
        outcome = driven(job, [*toy.tasks(2), *waiting], servers.address)
    finally:
        joining.join()
        servers.end(servers.workers[-1])
    assert len(outcome.done) == 8
    assert len([*tmp_path.glob("opened-*")]) == 3


def test_a_worker_of_another_version_is_named(tmp_path: Path) -> None:
    other = tmp_path / "other" / "onnxruntime-0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime\nVersion: 0.1\n", "utf-8")
    with running(tmp_path, workers=1) as own:

        class Joining(Told):
            """Starts the other worker when the first task is done."""

            def tell(self, event: object) -> None:
                super().tell(event)  # type: ignore[arg-type]
                if len(self.events) == 2:
                    own.start_worker(first_in_path=[tmp_path / "other"])

        outcome = driven(ToyJob(tmp_path), toy.tasks(1000, seconds=0.05), own.address, told=Joining())
        assert re.fullmatch(r"worker tcp://\S+: has onnxruntime 0\.1, and here it is \S+", outcome.stopped)
        assert not outcome.missing
        with pytest.raises(InputError, match=r"worker tcp://127\.0\.0\.1:\d+ has onnxruntime 0\.1, and here it is"):
            driven(ToyJob(tmp_path), toy.tasks(1), own.address)


@pytest.mark.parametrize("package", PACKAGES)
def test_whatever_decides_numbers_is_compared(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is installed here: nothing else is asked of workers, whatever they have beside."""
    monkeypatch.setattr(clusters, "version", lambda name: "1.0" if name == package else "")
    there = dict.fromkeys(PACKAGES, "2.0")
    asked = SimpleNamespace(
        called="the cluster",
        workers=lambda: {"tcp://a"},
        run=lambda _, name, workers: dict.fromkeys(workers, there[name]),
    )
    with pytest.raises(InputError, match=f"worker tcp://a has {package} 2.0, and here it is 1.0"):
        clusters._check_versions(asked)  # type: ignore[arg-type]
    there[package] = "1.0"
    clusters._check_versions(asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://\x1b[2J", "", "127.0.0.1:99999"])
def test_an_address_where_nothing_answers_is_told(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aves_verify.drivers.cluster._ANSWER", 0.5)
    with pytest.raises(InputError, match="no scheduler of Dask answers") as told:
        driven(ToyJob(tmp_path), toy.tasks(1), address)
    assert str(told.value).isprintable()


@pytest.mark.parametrize("address", ["nonsense", "tcp://host", "nonsense://host:1"])
def test_of_what_is_no_address_no_client_is_made(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that could not begin complains on standard error when it is collected."""

    def made(*_: object, **__: object) -> None:
        raise AssertionError("a client was made")

    monkeypatch.setattr("distributed.Client", made)
    with (
        pytest.raises(InputError, match=r"no scheduler of Dask answers \((missing port|unknown address scheme)"),
        at_scheduler(address, IMPATIENT),
    ):
        pass


def test_no_worker_is_waited_for_and_told(tmp_path: Path) -> None:
    with running(tmp_path) as own:
        waited: list[str] = []
        with (
            pytest.raises(InputError, match=r"has had no worker for 0 s"),
            at_scheduler(own.address, IMPATIENT, waited.append),
        ):
            pass
        assert waited == [f"the scheduler at {own.address} has no workers"]


def test_all_workers_gone_and_the_scheduler_gone_end_the_run_and_another_goes_on(tmp_path: Path) -> None:
    class Ending(Told):
        """Ends processes when the third task is done."""

        def __init__(self, *ended: object) -> None:
            super().__init__()
            self.ended = ended

        def tell(self, event: object) -> None:
            super().tell(event)  # type: ignore[arg-type]
            if len(self.events) == 4:
                own.end(*self.ended)  # type: ignore[arg-type]

    tasks = toy.tasks(60, seconds=0.05)
    with running(tmp_path, workers=1) as own:
        told = Ending(*own.workers)
        with pytest.raises(InputError, match=r"has had no worker .* is kept"):
            driven(ToyJob(tmp_path), tasks, own.address, IMPATIENT, told)
        assert {"worker-lost", "waiting"} <= {event.event for event in told.events}
        own.start_worker()
        with pytest.raises(InputError, match=r"is gone.*what is done is kept; run again"):
            driven(ToyJob(tmp_path), tasks, own.address, told=Ending(own.scheduler))
    assert 3 <= len(toy.parts(tmp_path)) < 60
