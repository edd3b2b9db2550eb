"""What a worker's process of Dask runs: it opens a job once, and does one task at a time."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from aves_artifacts.base.messages import printable
from aves_verify.drivers import parcels
from aves_verify.drivers.job import Answer, Job, StopError, Worker, attempt, opened
from aves_verify.drivers.parcels import Parcel

# Whose versions decide what numbers come out.
PACKAGES = ("aves-ports", "fairseq", "torch", "torchaudio", "onnxruntime", "openvino", "transformers", "numpy")


NO_TASK = b""  # in the place of a task: the job is opened, and nothing else done


@dataclass(frozen=True)
class Order:
    """What all tasks of a run are sent with: the job, which files it needs, and the versions that all must have.

    ``parcels``: None where workers are on this machine, and files lie where they lie.
    """

    job: Job
    parcels: tuple[Parcel, ...] | None
    versions: Mapping[str, str]


_turn = threading.Lock()  # workers with several threads: models take all cores, and sessions are not shared
_opened: tuple[str, Worker] | None = None  # of one job: models are large


def perform(order: bytes, spec: bytes) -> Answer:
    """Do a task; both arguments are pickled, so that a scheduler has no need of what they are made of."""
    from distributed import get_worker

    given: Order = pickle.loads(order)  # noqa: S301 - from the run's own process, as the call itself
    here, root = str(get_worker().address), folder(get_worker())
    with _turn:
        if given.parcels is not None and not all(parcel.is_at(root) for parcel in given.parcels):
            return Answer(lacks=here)
        try:
            worker = _open(given, root)
        except StopError as error:
            return Answer(reason=f"worker {here}: {error}", stops=True)
        if spec == NO_TASK:
            return Answer({})
        return attempt(worker, pickle.loads(spec))  # noqa: S301 - as above


def _open(order: Order, root: Path) -> Worker:
    global _opened
    if _opened is None or _opened[0] != order.job.key:
        _opened = None  # the old one goes before the new one comes
        if problem := difference(order.versions, {name: version(name) for name in order.versions}):
            raise StopError(problem)
        found = {Path(parcel.path): parcel.lies(root) for parcel in order.parcels or ()}
        if order.parcels is None:
            found = {path: path for path in order.job.files}
        _opened = order.job.key, opened(order.job, found)
    return _opened[1]


def version(package: str) -> str:
    """The version of an installed package; empty where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def difference(wanted: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Say in which package's version a worker differs; empty where in none."""
    for name, expected in wanted.items():
        if found.get(name) != expected:
            there = f"has {name} {printable(found[name], 40)}" if found.get(name) else f"lacks {name}"
            return f"{there}, and here it is {expected or 'not installed'}"
    return ""


def lacking(wanted: tuple[Parcel, ...], dask_worker: Any = None) -> list[Parcel]:
    """Which files are not at this worker, which Dask hands in."""
    root = folder(dask_worker)
    return [parcel for parcel in wanted if not parcel.is_at(root)]


def receive(parcel: Parcel, at: int, piece: bytes, sender: str, dask_worker: Any = None) -> str:
    """Write a piece of a file at this worker, which Dask hands in; return what is wrong, or nothing."""
    return parcels.put(folder(dask_worker), parcel, at, piece, sender)


def folder(worker: Any) -> Path:
    """Where files are put at a worker; it goes away with the worker."""
    return Path(worker.local_directory) / "aves-files"


def dask_setup(_worker: Any) -> None:
    """Drop what a process of our own prints: the terminal belongs to the run's bar, and outcomes are told there."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.close(nothing)
