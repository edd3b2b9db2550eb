"""Writing parts to their address, and finding those that are there and whole."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.address import Address
from aves_artifacts.files.concurrency import pool
from aves_verify.drivers.job import StopError

_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM))
_ENDING = b"PAR1"  # of every Parquet file: one that was cut off has another
_AT_ONCE = 16  # questions to a store


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
        waiting = [threads.submit(parts.tail, name, len(_ENDING)) for name in found]
        ends = [each.result() for each in waiting]
    return frozenset(name for name, end in zip(found, ends, strict=True) if end == _ENDING)


def _cause(error: BaseException) -> int | None:
    """The system's number for what went wrong, wherever in the chain it stands."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno is not None:
            return seen.errno
        seen = seen.__cause__ or seen.__context__
    return None
