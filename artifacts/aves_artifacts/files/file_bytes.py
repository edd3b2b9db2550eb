"""The bytes of a file, read where they are asked for.

A file that is mapped into memory instead ends the whole process, by SIGBUS, when it is cut off meanwhile.
"""

from __future__ import annotations

import io
import os
import threading
import weakref
import zlib
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import reason_of
from aves_artifacts.files.documents import open_file

_WINDOW = 1 << 14  # bytes that are read at once where few are asked for
_STEP = 1 << 10  # bytes that are searched at once
_PIECE = 1 << 18  # bytes that are summed at once


class FileBytes:
    """A regular file with the operations of ``bytes``, of which little is in memory at any time.

    Its length is that when it was opened. Operations raise InputError where the file has become shorter since.
    """

    def __init__(self, path: Path) -> None:
        """Open the file until nothing refers to this object any more. Raises OSError."""
        self._path = path
        self._file: io.RawIOBase = open_file(path).detach()  # type: ignore[attr-defined]
        weakref.finalize(self, self._file.close)
        self._size = os.fstat(self._file.fileno()).st_size
        self._turn = threading.Lock()
        self._window = (0, b"")  # where it begins, and what was read there

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> bytes: ...
    def __getitem__(self, index: int | slice) -> int | bytes:
        if isinstance(index, slice):
            return self._part(*index.indices(self._size)[:2])
        begin, window = self._window
        if begin <= index < begin + len(window):
            return window[index - begin]
        if not 0 <= index < self._size:
            raise IndexError(f"byte {index} of {self._size}")
        return self._part(index, index + 1)[0]

    def find(self, byte: bytes, start: int, stop: int) -> int:
        """Find where a single byte comes first in a range; -1 where it does not."""
        stop = min(stop, self._size)
        for at in range(start, stop, _STEP):
            found = self[at : min(at + _STEP, stop)].find(byte)
            if found >= 0:
                return at + found
        return -1

    def array(self, start: int, size: int) -> NDArray[np.uint8]:
        """Read ``size`` bytes from ``start`` on into an array of their own."""
        values = np.empty(size, np.uint8)
        self._fill(values.data, start)
        return values

    def crc32(self, start: int, size: int) -> int:
        """Sum ``size`` bytes from ``start`` on, as zip archives do, with little of them in memory at a time."""
        piece, crc = memoryview(bytearray(_PIECE)), 0
        for at in range(start, start + size, _PIECE):
            content = piece[: start + size - at]
            self._fill(content, at)
            crc = zlib.crc32(content, crc)
        return crc

    def _part(self, start: int, stop: int) -> bytes:
        if stop - start > _WINDOW:
            return self.array(start, stop - start).tobytes()
        begin, window = self._window
        if not begin <= start <= stop <= begin + len(window):
            begin, window = start, self.array(start, min(_WINDOW, self._size - start)).tobytes()
            self._window = (begin, window)
        return window[start - begin : max(stop, start) - begin]

    def _fill(self, buffer: memoryview, start: int) -> None:
        filled = 0
        try:
            with self._turn:
                self._file.seek(start)
                while filled < len(buffer):
                    got = self._file.readinto(buffer[filled:])
                    if not got:
                        break
                    filled += got
        except OSError as error:
            raise InputError(f"{self._path}: cannot read the file: {reason_of(error)}") from None
        if filled < len(buffer):
            raise InputError(f"{self._path}: became shorter while it was read; try again once it is complete")
