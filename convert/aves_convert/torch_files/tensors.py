"""Tensors that stay in their file until they are read, and the records in a pickle that describe them.

Nothing is allocated on a file's word: sizes, strides and offsets are checked against the bytes that are really there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.file_bytes import FileBytes
from aves_convert.torch_files.zip_directory import Extent


@dataclass(frozen=True, eq=False)
class OpenFile:
    """A file of tensors, and where in it the bytes of every storage lie."""

    path: Path
    data: FileBytes = field(repr=False)
    extents: dict[str, Extent] = field(repr=False)
    big_endian: bool = False
    intact: set[str] = field(default_factory=set, repr=False)  # storages whose checksum was found right

    def check_intact(self, key: str) -> None:
        """Raise InputError when the bytes of a storage are not those that were written.

        Legacy files have no checksums, and torch can be told to write none: both are 0 here.
        """
        extent = self.extents[key]
        if key in self.intact or not extent.crc:
            return
        if self.data.crc32(extent.start, extent.size) != extent.crc:
            raise InputError(f"{self.path}: damaged: the checksum of data/{key} is wrong; fetch the file again")
        self.intact.add(key)


@dataclass(frozen=True, eq=False, slots=True)
class Storage:
    """A run of ``numel`` elements in a file, beginning at element ``offset`` of the storage ``key``.

    ``dtype`` is None for element types that no encoder uses.
    """

    file: OpenFile = field(repr=False)
    key: str
    dtype: np.dtype[Any] | None
    numel: int
    offset: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class LazyTensor:
    """A tensor of a file that is not read yet.

    ``stride`` and ``offset`` count elements of ``storage``.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    storage: Storage = field(repr=False)

    @property
    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The size of the elements, in bytes."""
        return self.numel * self.dtype.itemsize

    @property
    def is_floating_point(self) -> bool:
        """Whether the elements are real numbers, of whatever precision."""
        return self.dtype in FLOATING

    def read(self) -> NDArray[Any]:
        """Read the tensor as stored: contiguous, its own dtype, bit for bit.

        Raises InputError where it repeats few stored elements many times, which could exhaust memory.
        """
        count = self.numel
        if count == 0:
            return np.empty(self.shape, self.dtype)
        if count > self.storage.numel:
            raise InputError(
                f"{self.storage.file.path}: a tensor of shape {list(self.shape)} repeats the {self.storage.numel} "
                "values that are stored; save it again with .contiguous()"
            )
        self.storage.file.check_intact(self.storage.key)
        span = _bytes(self.storage, self.dtype, self.offset, span_of(self.shape, self.stride))
        strides = [step * self.dtype.itemsize for step in self.stride]
        stored: NDArray[Any] = np.ndarray(self.shape, self.dtype, buffer=span, strides=strides)
        return np.ascontiguousarray(stored).reshape(self.shape)  # numpy gives a scalar an axis

    def float32(self) -> NDArray[np.float32]:
        """Read the tensor as float32, every value exact. Raises InputError where float32 cannot hold one.

        Raises InputError for integers, and for float64 with a value that float32 does not have.
        """
        if not self.is_floating_point:
            raise InputError(f"{self.storage.file.path}: a tensor is {self.dtype}, expected floating-point weights")
        stored = self.read()
        with np.errstate(over="ignore", invalid="ignore"):  # what does not fit is refused; what is no number stays so
            widened = stored.astype(np.float32, copy=False)
            exact = self.dtype.itemsize <= 4 or bool(np.all((widened == stored) | (stored != stored)))
        if not exact:
            raise InputError(
                f"{self.storage.file.path}: a tensor is {self.dtype} with values that float32 cannot hold; "
                "convert the checkpoint to float32 first"
            )
        return widened


def _bytes(storage: Storage, dtype: np.dtype[Any], offset: int, count: int) -> NDArray[np.uint8]:
    """``count`` elements of a storage from ``offset`` on, in this machine's order of bytes."""
    assert storage.dtype is not None  # noqa: S101 - _tensor refuses it
    source, size = storage.file, dtype.itemsize
    start = source.extents[storage.key].start + storage.offset * storage.dtype.itemsize + offset * size
    raw = source.data.array(start, count * size)
    if source.big_endian:
        return np.ascontiguousarray(raw.reshape(-1, _word(dtype))[:, ::-1]).reshape(-1)
    return raw


def _word(dtype: np.dtype[Any]) -> int:
    """Bytes of the number that byte order applies to: half an element for complex ones."""
    return dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize


def span_of(shape: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """Count the elements from the first to the last that a tensor reaches."""
    last = 0
    for size, step in zip(shape, stride, strict=True):
        last += (size - 1) * step
    return last + 1


# The element types of untyped storages; torch and numpy call them by the same names. Ordinary ones: others (packed
# halves of bytes, quantised numbers) cannot be read one by one.
_FLOAT8 = (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2, ml_dtypes.float8_e5m2fnuz)
FLOATING = tuple(map(np.dtype, (np.float64, np.float32, np.float16, ml_dtypes.bfloat16, *_FLOAT8)))
