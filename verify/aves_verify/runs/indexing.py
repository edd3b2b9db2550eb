"""The index of a corpus, made once by whoever comes first, and kept beside the parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.address import Address
from aves_verify.corpus.index import Recording, from_table, index_block, to_table
from aves_verify.corpus.listing import Entry
from aves_verify.drivers.job import Job, Outcome, Task
from aves_verify.parts.identity import digest
from aves_verify.parts.writing import read_part, whole_parts
from aves_verify.recipes.making import Made, PartJob

_BLOCK = 256  # files of a block
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
    cut = [tuple(entries[at : at + _BLOCK]) for at in range(0, len(entries), _BLOCK)]
    blocks = {f"{_FOLDER}/{digest([astuple(entry) for entry in block])}.parquet": block for block in cut}
    there = whole_parts(parts, blocks)
    found = {name: read for name in blocks if name in there and (read := _read(parts, name)) is not None}
    tasks = [Task(name, (name, block), len(block)) for name, block in blocks.items() if name not in found]
    begin = int(first * len(tasks))
    if tasks:
        job = PartJob(IndexRecipe(), where, anew=there - found.keys())
        outcome = drive(job, [*tasks[begin:], *tasks[:begin]])
        if outcome.stopped or outcome.missing:
            raise InputError(outcome.stopped or next(iter(outcome.missing.values())))
    for task in tasks:
        read = _read(parts, task.name)
        if read is None:
            raise InputError(
                f"{parts.url}/{task.name}: not there, though a worker wrote it: workers do not see this folder; give "
                "one that all share, or an address such as s3://"
            )
        found[task.name] = read
    return [recording for name in blocks for recording in found[name]]


def _read(parts: Address, name: str) -> tuple[Recording, ...] | None:
    """A block; None where it is not there, or damaged. Raises InputError for a store's trouble."""
    content = read_part(parts, name)
    try:
        return None if content is None else from_table(content)
    except InputError:
        return None
