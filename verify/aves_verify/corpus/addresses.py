"""Bytes at any address: a path here, or an address that fsspec knows.

Two kinds of failing are kept apart. A file that is missing, forbidden or none at all stays so, and is told as OSError:
it is the recording's; so is one that a disk cannot read, once it was tried for a while. A store that does not answer
now is asked again for a while, and then told as StoreError: whoever wanted the bytes tries later, or elsewhere. So is a
file system that does not answer, or what this machine has run out of.
"""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import unquote

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.extras import need
from aves_artifacts.base.messages import printable, printable_address, reason_of
from aves_artifacts.files.concurrency import TooSlowError, ended
from aves_artifacts.files.documents import open_file

Result = TypeVar("Result")

WHOLE = 64 << 20  # bytes; a remote file up to this size is read at once, and a larger one in ranges
PATIENCE = 16.0  # seconds for which a store that does not answer is asked again, from its first failure on
WAITS = (0.3, 5.0)  # seconds between attempts: the first, twice as much each time, and the longest
ANSWER = 60.0  # seconds for a store to answer once; a server may send a byte now and then for ever
LISTING = 3600.0  # the same for a folder's list, which comes in many answers
_SLOWEST = 1e5  # bytes a second, of what is read at once
_BLOCK = 4 << 20  # bytes of a range
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
_LOCAL = re.compile(r"(?:file|local):(?://)?(?=/[^/])")
# What a path itself is to blame for; the rest (ESTALE, ETIMEDOUT, EMFILE) is a network file system's or this machine's.
_OF_THE_FILE = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM}
    | {errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO, errno.ENODEV, errno.EFBIG}
)
# A place of a disk that cannot be read, or does not hold what was written: a second try may go well, a tenth will not.
_OF_THE_DISK = frozenset({errno.EIO, errno.EBADMSG, getattr(errno, "EUCLEAN", errno.EIO)})
_DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "InvalidObjectState", "403"})  # S3's, of one object


class StoreError(InputError):
    """A store does not answer now, or this machine lacks something: it may go well later, or on another one."""


def is_local(address: str) -> bool:
    """Whether an address is a path on this machine."""
    return "://" not in address


def localised(address: str) -> str:
    """The absolute path that an address means where it is one of this machine, else the address itself.

    Raises InputError for an address that does not mean what it says.
    """
    if "\0" in address or not address.strip():
        raise InputError(f"{printable(address) or 'an empty address'}: expected a path or an address")
    if found := _LOCAL.match(address):
        return unquote(address[found.end() :])
    if re.match(r"(?:file|local):", address):
        raise InputError(f"{printable(address)}: expected file:///folder")
    scheme, colon, rest = address.partition(":")
    if colon and not rest.startswith(("//", ":")) and scheme in (*_EXTRAS, "memory", "http", "https"):
        raise InputError(f"{printable(address)}: expected {scheme}://, or ./{printable(address)} for a file here")
    return address if "://" in address else str(Path(address).absolute())


def told(address: str) -> str:
    """An address as messages have it: on one line, without password and signature."""
    try:
        return printable(address if is_local(address) else printable_address(address), 500)
    except ValueError:
        return printable(address.rpartition("@")[2])


def filesystem_at(address: str) -> tuple[Any, str]:
    """fsspec's file system for an address, and the path in it. Raises InputError, saying what is missing."""
    import fsspec

    shown = told(address)
    for link in address.split("::")[1:]:  # what it leads through, such as an archive here, is read to its end
        place = link.removeprefix("file://")
        if is_local(place) and os.path.exists(place) and not os.path.isfile(place):
            raise InputError(f"{shown}: {printable(place)} is no file; give a file, or a folder alone")
    if extra := _EXTRAS.get(address.partition(":")[0]):
        need(shown, extra)
    try:
        # One for each protocol, server and thread, which fsspec keeps; what it listed once must not be believed.
        store, path = fsspec.url_to_fs(address, use_listings_cache=False)
    except ImportError as error:
        raise InputError(f"{shown}: a package is missing that reaches this address: {reason_of(error)}") from None
    except Exception as error:  # the library behind each store has exceptions of its own
        raise InputError(f"{shown}: cannot open this address: {reason_of(error)}") from None
    return store, path


def patiently(work: Callable[[], Result], address: str, seconds: float = ANSWER) -> Result:
    """What ``work`` returns, which is tried again while a store does not answer, or a disk does not give it.

    Raises OSError where the file is to blame, or its place on the disk, and StoreError where the store is, in the end,
    or where it takes more than so many ``seconds`` for one answer.
    """
    wait, longest = WAITS
    failed = 0.0
    while True:
        try:
            return work() if is_local(address) else ended(work, seconds)
        except InputError:
            raise
        except TooSlowError:  # what was asked goes on: nothing else can be asked of the same file
            raise StoreError(f"{told(address)}: the store has not answered in {seconds:.0f} s") from None
        except Exception as error:  # the library behind each store has exceptions of its own
            if blamed := of_the_file(error, address):
                raise blamed from None
            failed = failed or time.monotonic()
            if time.monotonic() + wait > failed + PATIENCE:
                if _is_of_the_disk(error, address):
                    raise
                why = reason_of(_cause(error, address))
                raise StoreError(f"{told(address)}: the store does not give it: {why}") from error
        time.sleep(wait)
        wait = min(2 * wait, longest)


def open_at(address: str) -> BinaryIO:
    """Open a file for reading at any place. Raises OSError and StoreError as ``patiently``; the stream does, too."""
    if is_local(address):
        file = patiently(lambda: open_file(Path(address)).detach(), address)  # type: ignore[attr-defined]
    else:
        store, path = filesystem_at(address)
        file = patiently(lambda: store.open(path, "rb", block_size=_BLOCK), address)
    return io.BufferedReader(_Patient(address, file))


def refusal(error: OSError, name: str) -> InputError:
    """What to raise for bytes of a recording that did not come: StoreError where the recording is not to blame."""
    kind = InputError if error.errno in _OF_THE_FILE | _OF_THE_DISK else StoreError
    return kind(f"{name}: cannot be read: {reason_of(error)}")


class _Patient(io.RawIOBase):
    """A file here or of fsspec's, of which each range is asked for again while disk or store do not give it."""

    def __init__(self, address: str, file: BinaryIO) -> None:
        self._address, self._file = address, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def seek(self, offset: int, whence: int = 0) -> int:
        return patiently(lambda: self._file.seek(offset, whence), self._address)

    def readinto(self, buffer: Any) -> int:
        at = self._file.tell()
        # At once from a store, where each request takes its time. Never into the buffer: who is late must not find it.
        wanted = min(len(buffer), _BLOCK) if is_local(self._address) else len(buffer)

        def again() -> bytes:
            self._file.seek(at)
            return self._file.read(wanted)

        content = patiently(again, self._address, ANSWER + wanted / _SLOWEST)
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _is_of_the_disk(error: Exception, address: str) -> bool:
    """Whether a disk of this machine answers, and cannot read this file's place of it.

    One over a network, or a device that went away, fails for all files alike.
    """
    if not (is_local(address) and isinstance(error, OSError) and error.errno in _OF_THE_DISK):
        return False
    try:
        shutil.disk_usage(os.path.dirname(address))
    except OSError:
        return False
    return True


def _cause(error: Exception, address: str) -> Exception:
    """What is behind an error: of a web server that cannot be asked fsspec says that there is no such file."""
    is_web = address.startswith(("http://", "https://")) and isinstance(error, FileNotFoundError)
    return error.__cause__ if is_web and isinstance(error.__cause__, Exception) else error


def of_the_file(error: Exception, address: str) -> OSError | None:
    """The error as one of the file itself; None where the store is to blame."""
    if is_local(address):
        return error if isinstance(error, OSError) and error.errno in _OF_THE_FILE else None
    error = _cause(error, address)
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return FileNotFoundError(errno.ENOENT, "no such file")
    response = getattr(error.__cause__, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    # Keys that ran out are no property of the file: all others would fail as well.
    if isinstance(error, PermissionError) and (code is None or code in _DENIED):
        return PermissionError(errno.EACCES, "Permission denied")
    status = getattr(error, "status" if hasattr(error, "status") else "code", None)
    return {
        401: PermissionError(errno.EACCES, "Permission denied"),
        403: PermissionError(errno.EACCES, "Permission denied"),
        404: FileNotFoundError(errno.ENOENT, "no such file"),
        410: FileNotFoundError(errno.ENOENT, "no such file"),
    }.get(status if isinstance(status, int) else 0)
