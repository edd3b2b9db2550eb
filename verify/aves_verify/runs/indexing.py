"""The index of a corpus, made once by whoever comes first, and kept beside the parts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.address import Address
from aves_artifacts.files.concurrency import pool
from aves_verify.corpus.index import Recording, from_table, index_block, to_table
from aves_verify.corpus.listing import Entry
from aves_verify.drivers.job import Job, Outcome, Task
from aves_verify.parts.identity import digest
from aves_verify.parts.writing import read_part, whole_parts
from aves_verify.recipes.making import Made, PartJob

_BLOCK = 256  # files of a block, about
_LARGE = 64 << 20  # bytes; a file of that size takes its time, and may be a tar of thousands of recordings
_AT_ONCE = 16  # questions to a store
_FOLDER = "index"

Drive = Callable[[Job, Sequence[Task]], Outcome]


@dataclass(frozen=True)
class IndexRecipe:
    """Index blocks of files."""

    key: str = "index"
    files: tuple[Path, ...] = ()  # recordings are read where they lie

    def open(self, files: Mapping[Path, Path]) -> IndexRecipe:  # noqa: ARG002 - there are none
        """Nothing has to be loaded."""
        return self

    def make(self, spec: tuple[Entry, ...]) -> Made:
        """Index a block. Raises StoreError where a store does not answer."""
        return Made(to_table(index_block(spec)), {"files": len(spec)})


def index(parts: Address, where: str, entries: Sequence[Entry], drive: Drive, first: float = 0.0) -> list[Recording]:
    """The recordings of these files, from the index where it has them, else it is made; ``drive`` does what is missing.

    Of several processes each begins at another share of the blocks, ``first`` from 0 to 1. Raises InputError where a
    block cannot be made.
    """
    blocks = {f"{_FOLDER}/{digest([astuple(entry) for entry in block])}.parquet": block for block in _blocks(entries)}
    there = whole_parts(parts, blocks)
    found = {name: read for name, read in _each(parts, sorted(there)) if read is not None and all(map(_was_read, read))}
    tasks = [Task(name, (name, block), len(block)) for name, block in blocks.items() if name not in found]
    begin = int(first * len(tasks))
    if tasks:
        job = PartJob(IndexRecipe(), where, anew=there - found.keys())
        outcome = drive(job, [*tasks[begin:], *tasks[:begin]])
        if outcome.stopped or outcome.missing:
            raise InputError(outcome.stopped or next(iter(outcome.missing.values())))
    for name, read in _each(parts, [task.name for task in tasks]):
        if read is None:
            raise InputError(
                f"{parts.url}/{name}: not there, though a worker wrote it: workers do not see this folder; give "
                "one that all share, or an address such as s3://"
            )
        found[name] = read
    return [recording for name in blocks for recording in found[name]]


def _blocks(entries: Sequence[Entry]) -> Iterator[tuple[Entry, ...]]:
    """Cut the files into blocks, by their names: one file more changes the block that it is in, and no other.

    A large one, such as a tar, is a block of its own.
    """
    held: list[Entry] = []
    for entry in entries:
        is_large = entry.size > _LARGE
        if held and is_large:
            yield tuple(held)
            held = []
        held.append(entry)
        number = int.from_bytes(hashlib.sha256(entry.name.encode("utf-8", "surrogateescape")).digest()[:4], "big")
        if is_large or number % _BLOCK == 0 or len(held) == 2 * _BLOCK:
            yield tuple(held)
            held = []
    if held:
        yield tuple(held)


def _was_read(recording: Recording) -> bool:
    """Whether its bytes came: why they did not, such as a permission, may be mended without a trace in the file."""
    return bool(recording.sha256)


def _each(parts: Address, names: Sequence[str]) -> Iterator[tuple[str, tuple[Recording, ...] | None]]:
    with pool(_AT_ONCE) as threads:
        yield from zip(names, threads.map(lambda name: _read(parts, name), names), strict=True)


def _read(parts: Address, name: str) -> tuple[Recording, ...] | None:
    """A block; None where it is not there, or damaged. Raises InputError for a store's trouble."""
    content = read_part(parts, name)
    try:
        return None if content is None else from_table(content)
    except InputError:
        return None
