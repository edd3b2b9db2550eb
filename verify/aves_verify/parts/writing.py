"""Writing parts to their address, and finding those that are there and whole."""

from __future__ import annotations

import errno
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.address import Address
from aves_artifacts.files.concurrency import pool
from aves_verify.backends.recorded import RecordedBackend
from aves_verify.corpus.addresses import WAITS, of_the_file
from aves_verify.drivers.job import StopError
from aves_verify.parts.identity import RECORDING

Result = TypeVar("Result")

_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM))
_AT_ONCE = 16  # questions to a store
PATIENCE = 60.0  # seconds for which a store that does not answer is asked again: without parts all work is for nothing


@dataclass(frozen=True)
class _Mark:
    """What the last bytes of a file begin with, and how many these are."""

    begins: bytes
    size: int


_ENDS = {".parquet": _Mark(b"PAR1", 4), ".zip": _Mark(b"PK\x05\x06", 22)}


def write_part(parts: Address, name: str, content: bytes) -> None:
    """Write a part, whole or not at all; a store that does not answer now is asked again for a while.

    Raises InputError, and StopError where the disk is full or nothing may be written: no other part could be either.
    """
    try:
        patiently(parts, lambda: parts.replace(name, content))
    except InputError as error:
        if _cause(error) in _NO_ROOM:
            raise StopError(f"{error}; make room and run again: what is done stays done") from error
        if _cause(error) == errno.ENOENT and is_whole(parts, name):
            return  # another process wrote the same meanwhile, and took our half for one that was left
        raise


def read_part(parts: Address, name: str) -> bytes | None:
    """Read a part; None where it is not there. Raises InputError where a store does not answer for a while."""
    return patiently(parts, lambda: parts.read(name))


@contextmanager
def at_hand(parts: Address, name: str) -> Iterator[Path | None]:
    """A part as a file of this system, of whatever size; None where it is not there.

    Raises InputError where a store does not answer for a while.
    """
    here = parts.local(name)
    if here is not None:
        yield here if here.is_file() else None
        return
    with tempfile.TemporaryDirectory(prefix="aves-part-") as folder:
        path = Path(folder) / "part"
        yield path if patiently(parts, lambda: parts.copy(name, path)) else None


def whole_parts(parts: Address, names: Iterable[str]) -> frozenset[str]:
    """Which of these parts are there, to their end. Raises InputError where the store cannot be read."""
    found = sorted(set(names) & set(patiently(parts, parts.listed)))
    return frozenset(
        name for name, whole in zip(found, _each(found, lambda n: is_whole(parts, n)), strict=True) if whole
    )


def is_whole(parts: Address, name: str) -> bool:
    """Whether a part is there, to its end: one that was cut off has another. Raises InputError."""
    marks = next((marks for ending, marks in _ENDS.items() if name.endswith(ending)), _Mark(b"", 1))
    tail = patiently(parts, lambda: parts.tail(name, marks.size))
    return len(tail) == marks.size and tail.startswith(marks.begins)


def damaged_parts(parts: Address, run: str | None, audio: Mapping[str, str]) -> frozenset[str]:
    """Which of these parts are not what was written, though they end as they should: they are read to the last byte.

    ``audio``: the digest of the sound that each is about, empty where it is about none. One of another shard or of
    another ``run`` is damaged as well; None where parts do not say of which they are. Of Parquet files and recordings
    alone anybody can tell. Raises InputError where the store cannot be read.
    """
    found = sorted(name for name in audio if name.endswith((".parquet", RECORDING)))
    well = _each(found, lambda name: _is_intact(parts, name, run, audio[name]))
    return frozenset(name for name, is_well in zip(found, well, strict=True) if not is_well)


def sweep(parts: Address) -> None:
    """Remove what killed processes left half-written of files that are there whole by now.

    Whoever writes one of these anew at this moment finds that it is there.
    """
    with suppress(InputError):  # it is in nobody's way, and whoever may not remove it has made his parts
        parts.sweep(lambda name: is_whole(parts, name))


def patiently(parts: Address, work: Callable[[], Result]) -> Result:
    """What ``work`` returns, which is done again for a while where a store does not answer.

    Raises InputError, and StopError where it does not answer after that: all other parts would fare alike.
    """
    wait, longest = WAITS
    failed = 0.0
    while True:
        try:
            return work()
        except InputError as error:
            store = error.__cause__
            if parts.is_local or not isinstance(store, Exception) or _cause(error) in _NO_ROOM:
                raise
            failed = failed or time.monotonic()
            if of_the_file(store, parts.url):
                raise
            if time.monotonic() + wait > failed + PATIENCE:
                raise StopError(f"{error}; what is done stays done: run again when it answers") from error
        time.sleep(wait)
        wait = min(2 * wait, longest)


def _is_intact(parts: Address, name: str, run: str | None, audio: str) -> bool:
    from aves_verify.parts.part import is_intact

    with at_hand(parts, name) as path:
        if path is not None and name.endswith(RECORDING):
            return _is_recording(path)
        return path is not None and is_intact(path, run, audio)


def _is_recording(path: Path) -> bool:
    try:
        RecordedBackend(path)
    except InputError:
        return False
    return True


def _each(names: Sequence[str], ask: Callable[[str], bool]) -> list[bool]:
    with pool(_AT_ONCE) as threads:
        return list(threads.map(ask, names))


def _cause(error: BaseException) -> int | None:
    """The system's number for what went wrong, wherever in the chain it stands."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno is not None:
            return seen.errno
        seen = seen.__cause__ or seen.__context__
    return None
