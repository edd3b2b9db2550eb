"""Tasks in several processes here: the same parts as in one, whatever dies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.verify.drivers import toy
from tests.verify.drivers.toy import ToyJob

from aves_verify.drivers import alone, together
from aves_verify.drivers.cluster import Cluster, local_workers
from aves_verify.drivers.job import Settings
from aves_verify.drivers.progress import Nothing, Progress

pytestmark = pytest.mark.slow

AT_ONCE = Settings(retries=2, pauses=(0.0,))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with local_workers(2) as cluster:
        yield cluster


def silent(tasks: int) -> Progress:
    return Progress(Nothing(), tasks, tasks)


def test_parts_are_those_of_one_process_and_each_opens_once(cluster: Cluster, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    done = alone.drive(ToyJob(one), toy.tasks(40), AT_ONCE, silent(40))
    outcome = together.drive(ToyJob(two, key="equal"), toy.tasks(40), cluster, AT_ONCE, silent(40))
    assert outcome == done
    assert toy.parts(one) == toy.parts(two)
    assert len([*two.glob("opened-*")]) == 2
