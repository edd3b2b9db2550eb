"""Bytes at any address: a path here, or an address that fsspec knows.

Two kinds of failing are kept apart. A file that is missing, forbidden or none at all stays so, and is told as OSError:
it is the recording's. A store that does not answer now is asked again for a while, and then told as StoreError: whoever
wanted the bytes tries later, or elsewhere.
"""

from __future__ import annotations

import errno
import io
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import unquote

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.extras import need
from aves_artifacts.base.messages import printable, printable_address, reason_of
from aves_artifacts.files.documents import open_file

Result = TypeVar("Result")

WHOLE = 64 << 20  # bytes; a remote file up to this size is read at once, and a larger one in ranges
PATIENCE = 16.0  # seconds for which a store that does not answer is asked again, from its first failure on
WAITS = (0.3, 5.0)  # seconds between attempts: the first, twice as much each time, and the longest
_BLOCK = 4 << 20  # bytes of a range
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
_LOCAL = re.compile(r"(?:file|local):(?://)?(?=/[^/])")
# What a path itself is to blame for; the rest (EIO, ESTALE, ETIMEDOUT) is a disk's or a network file system's.
_OF_THE_FILE = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM}
    | {errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO, errno.ENODEV, errno.EFBIG}
)
_DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "InvalidObjectState", "403"})  # S3's, of one object


class StoreError(InputError):
    """A store does not answer now, or a disk fails: the same may go well later, or on another machine."""


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


def patiently(work: Callable[[], Result], address: str) -> Result:
    """What ``work`` returns, which is tried again while a store does not answer.

    Raises OSError where the file is to blame, and StoreError where the store is, in the end.
    """
    wait, longest = WAITS
    failed = 0.0
    while True:
        try:
            return work()
        except InputError:
            raise
        except Exception as error:  # the library behind each store has exceptions of its own
            if blamed := of_the_file(error, address):
                raise blamed from None
            failed = failed or time.monotonic()
            if time.monotonic() + wait > failed + PATIENCE:
                why = reason_of(_cause(error, address))
                raise StoreError(f"{told(address)}: the store does not give it: {why}") from error
        time.sleep(wait)
        wait = min(2 * wait, longest)


def open_at(address: str) -> BinaryIO:
    """Open a file for reading at any place. Raises OSError and StoreError as ``patiently``; the stream does, too."""
    if is_local(address):
        return patiently(lambda: open_file(Path(address)), address)
    store, path = filesystem_at(address)
    return io.BufferedReader(_Remote(address, patiently(lambda: store.open(path, "rb", block_size=_BLOCK), address)))


def refusal(error: OSError, name: str) -> InputError:
    """What to raise for bytes of a recording that did not come: StoreError where the recording is not to blame."""
    kind = InputError if error.errno in _OF_THE_FILE else StoreError
    return kind(f"{name}: cannot be read: {reason_of(error)}")


class _Remote(io.RawIOBase):
    """A file of fsspec's, of which each range is asked for again while the store does not give it."""

    def __init__(self, address: str, file: BinaryIO) -> None:
        self._address, self._file = address, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return patiently(lambda: self._file.seek(offset, whence), self._address)

    def readinto(self, buffer: Any) -> int:
        at = self._file.tell()

        def again() -> bytes:
            self._file.seek(at)
            return self._file.read(len(buffer))

        content = patiently(again, self._address)
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


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
