"""A cluster of Dask as a run sees it, and one that is there already."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from aves_artifacts.base.errors import InputError, raise_if_any
from aves_artifacts.base.extras import need
from aves_artifacts.base.messages import printable, printable_address, quoted, reason_of
from aves_verify.drivers.at_worker import PACKAGES, difference, version
from aves_verify.drivers.job import Settings
from aves_verify.drivers.silence import silent

_ANSWER = 10.0  # seconds for a scheduler to answer


@dataclass(frozen=True)
class Cluster:
    """Workers that are there for a run. ``address``: of a scheduler that others started, empty for our own.

    ``keep`` is called again and again, and replaces workers where that is for us to do.
    """

    client: Any
    address: str = ""
    keep: Callable[[], None] = lambda: None

    @property
    def called(self) -> str:
        """What it is called in messages."""
        return f"the scheduler at {self.address}" if self.address else "the scheduler of this run"

    def workers(self) -> set[str]:
        """The addresses of all workers that are there. Raises InputError where the scheduler is gone."""
        self.keep()
        return set(self.asked("ncores"))

    def asked(self, question: str, **arguments: Any) -> Any:
        """What the scheduler answers. Raises InputError where it does not."""
        if self.client.status != "running":
            raise self.gone()
        try:
            call = getattr(self.client.scheduler, question)
            return self.client.sync(call, **arguments, callback_timeout=3 * _ANSWER)
        except (OSError, asyncio.TimeoutError, RuntimeError, ValueError):  # what a connection that closes ends in
            raise self.gone() from None

    def run(self, function: Callable[..., Any], *arguments: Any, workers: list[str]) -> dict[str, Any]:
        """What a function returns at these workers, at each that is still there; an Exception where it raised one.

        Raises InputError where the scheduler is gone.
        """
        if self.client.status != "running":
            raise self.gone()
        try:
            found: dict[str, Any] = self.client.run(function, *arguments, workers=workers, on_error="return")
        except (OSError, asyncio.TimeoutError, RuntimeError, ValueError):
            raise self.gone() from None
        return {worker: value for worker, value in found.items() if not isinstance(value, OSError)}

    def gone(self) -> InputError:
        """The error of a scheduler that went away."""
        return InputError(f"{self.called} is gone, or let the run's tasks go: what is done is kept; run again to go on")


@contextmanager
def at_scheduler(
    address: str, settings: Settings = Settings(), waits: Callable[[str], None] = lambda _: None
) -> Iterator[Cluster]:
    """Use a cluster that is there already, once a worker is; ``waits`` is told so.

    Raises InputError where nothing answers, no worker comes, or one has other versions than this process.
    """
    need("a run at a scheduler", "dask")
    from distributed import Client
    from distributed.comm import get_address_host_port

    try:
        shown = printable(printable_address(address))
    except ValueError:  # no address at all
        shown = quoted(address)
    with silent():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                get_address_host_port(address)  # a client of what is no address complains when it is collected
                client = Client(address, timeout=_ANSWER, set_as_default=False)
        except Exception as error:  # of many kinds: what is no address ends in whatever met it first
            raise InputError(
                f"{shown}: no scheduler of Dask answers ({reason_of(error)}); expected an address such as "
                "tcp://host:8786"
            ) from None
        try:
            cluster = Cluster(client, shown)
            wait_for_workers(cluster, settings, waits)
            _check_versions(cluster)
            yield cluster
        finally:
            with suppress(Exception):  # the scheduler may be gone, and with it all that there is to close
                client.close(timeout=_ANSWER)


def wait_for_workers(cluster: Cluster, settings: Settings, waits: Callable[[str], None]) -> None:
    """Return once there is a worker. Raises InputError where none comes."""
    began = time.monotonic()
    told = False
    while not cluster.workers():
        if not told:
            waits(f"{cluster.called} has no workers")
            told = True
        if time.monotonic() - began > settings.patience:
            raise InputError(
                f"{cluster.called} has had no worker for {settings.patience:.0f} s: what is done is kept; "
                "start workers and run again"
            )
        time.sleep(min(1.0, settings.patience / 10))


def versions_here() -> Mapping[str, str]:
    """The versions that all workers must have: of what is installed here, as nothing else is asked of them."""
    return {name: found for name in PACKAGES if (found := version(name))}


def _check_versions(cluster: Cluster) -> None:
    """Raise InputError that names the workers with other versions. Asked by Python's own means: ours may be missing."""
    workers = sorted(cluster.workers())
    wanted, differing = versions_here(), []
    answers = [cluster.run(metadata.version, name, workers=workers) for name in wanted]
    for worker in workers:
        said = [answer.get(worker) for answer in answers]
        if None not in said:  # else it went away meanwhile
            versions = {name: value if isinstance(value, str) else "" for name, value in zip(wanted, said, strict=True)}
            if differs := difference(wanted, versions):
                differing.append(f"worker {worker} {differs}")
    raise_if_any(differing, cluster.called)
