"""Writing parts to their address, and finding those that are there and whole."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.address import Address
from aves_artifacts.files.concurrency import pool
from aves_verify.drivers.job import StopError

_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM))
_AT_ONCE = 16  # questions to a store


@dataclass(frozen=True)
class _Mark:
    """What the last bytes of a file begin with, and how many these are."""

    begins: bytes
    size: int


_ENDS = {".parquet": _Mark(b"PAR1", 4), ".zip": _Mark(b"PK\x05\x06", 22)}


def write_part(parts: Address, name: str, content: bytes) -> None:
    """Write a part, whole or not at all.

    Raises InputError, and StopError where the disk is full or nothing may be written: no other part could be either.
    """
    try:
        parts.replace(name, content)
    except InputError as error:
        if _cause(error) in _NO_ROOM:
            raise StopError(f"{error}; make room and run again: what is done stays done") from error
        raise


def whole_parts(parts: Address, names: Iterable[str]) -> frozenset[str]:
    """Which of these parts are there, to their end. Raises InputError where the store cannot be read."""
    there = parts.names()
    if there is None:
        raise InputError(f"{parts.url}: cannot be listed; give a folder, or an address whose files can be")
    found: Sequence[str] = sorted(set(names) & set(there))
    with pool(_AT_ONCE) as threads:
        waiting = [threads.submit(is_whole, parts, name) for name in found]
        return frozenset(name for name, each in zip(found, waiting, strict=True) if each.result())


def is_whole(parts: Address, name: str) -> bool:
    """Whether a part is there, to its end: one that was cut off has another. Raises InputError."""
    marks = next((marks for ending, marks in _ENDS.items() if name.endswith(ending)), _Mark(b"", 1))
    tail = parts.tail(name, marks.size)
    return len(tail) == marks.size and tail.startswith(marks.begins)


def _cause(error: BaseException) -> int | None:
    """The system's number for what went wrong, wherever in the chain it stands."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno is not None:
            return seen.errno
        seen = seen.__cause__ or seen.__context__
    return None
