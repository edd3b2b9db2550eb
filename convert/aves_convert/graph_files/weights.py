"""Reading the weights of an ONNX file one at a time, from where they lie: onnx.load copies all of them twice."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line, printable, reason_of
from aves_artifacts.files.file_bytes import FileBytes
from aves_artifacts.files.protobuf_fields import Fields

_MAX_DIMENSIONS = 64  # numpy's own limit

IsWanted = Callable[[str, tuple[int, ...]], bool]  # by name and shape


def graph_weights(path: Path, wanted: IsWanted = lambda _name, _shape: True) -> Iterator[tuple[str, NDArray[Any]]]:
    """Go through names and values of the wanted initializers; the others are not read.

    Raises InputError for a file that is no ONNX, is damaged or is cut off meanwhile, and for weights in a file beside
    it that are missing, or not as long as the graph says.
    """
    try:
        data = FileBytes(path)
        if not len(data):
            raise ValueError("it is empty")
        fields = Fields(data)
        for start, stop in _initializers(fields):
            tensor, begin, end = _without_data(fields, start, stop)
            if wanted(tensor.name, tuple(tensor.dims)):
                yield tensor.name, _values(tensor, data, begin, end, path)
    except (OSError, ValueError, DecodeError) as error:
        raise InputError(
            f"{path}: a damaged or truncated ONNX file ({first_line(error)}); fetch or convert it again"
        ) from None


def bytes_of_files(path: Path) -> int:
    """The sizes of an ONNX file and of those beside it that it has its weights in, as far as they can be found."""
    files = {path}
    with contextlib.suppress(OSError, ValueError, DecodeError):
        fields = Fields(FileBytes(path))
        for start, stop in _initializers(fields):
            tensor, _, _ = _without_data(fields, start, stop)
            files |= {path.parent / each.value for each in tensor.external_data if each.key == "location"}
    total = 0
    for file in files:
        with contextlib.suppress(OSError, ValueError):
            total += file.stat().st_size
    return total


def _initializers(fields: Fields) -> Iterator[tuple[int, int]]:
    """Begin and end of each TensorProto."""
    for _, number, begin, end in fields.within(0, len(fields.data)):
        if number == onnx.ModelProto.GRAPH_FIELD_NUMBER:
            for _, part, start, stop in fields.within(begin, end):
                if part == onnx.GraphProto.INITIALIZER_FIELD_NUMBER:
                    yield start, stop


def _without_data(fields: Fields, start: int, stop: int) -> tuple[TensorProto, int, int]:
    """A tensor without its raw bytes, and where these begin and end."""
    head, begin, end = bytearray(), 0, 0
    for key, number, first, last in fields.within(start, stop):
        if number == TensorProto.RAW_DATA_FIELD_NUMBER:
            begin, end = first, last
        else:
            head += fields.data[key:last]
    return TensorProto.FromString(bytes(head)), begin, end


def _values(tensor: TensorProto, data: FileBytes, begin: int, end: int, path: Path) -> NDArray[Any]:
    """Its values, from the raw bytes, a file beside this one, or other fields. Raises ValueError for a damaged one."""
    if len(tensor.dims) > _MAX_DIMENSIONS or any(size < 0 for size in tensor.dims):
        raise ValueError(f"{printable(tensor.name)} has an impossible shape")
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
    except KeyError:
        raise ValueError(f"{printable(tensor.name)} has the unknown element type {tensor.data_type}") from None
    count = math.prod(tensor.dims)
    if tensor.data_location == TensorProto.EXTERNAL:
        return _external(tensor, count * dtype.itemsize, path)
    if count * dtype.itemsize == end - begin:
        stored = data.array(begin, end - begin).view(dtype.newbyteorder("<")).reshape(tensor.dims)
        return stored.astype(dtype, copy=False)
    if end > begin:  # several values to the byte
        tensor.raw_data = data[begin:end]
    try:
        return onnx.numpy_helper.to_array(tensor)
    except (TypeError, IndexError, OverflowError) as error:
        raise ValueError(f"{printable(tensor.name)}: {reason_of(error)}") from None


def _external(tensor: TensorProto, size: int, path: Path) -> NDArray[Any]:
    """Values of so many bytes from a file beside this one; looked at before they are read, which might fill memory."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    try:
        there = (path.parent / entries.get("location", "")).stat().st_size - int(entries.get("offset", 0))
        if int(entries.get("length", there)) != size:
            raise ValueError(f"{printable(tensor.name)} has {entries.get('length', there)} bytes, its shape {size}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of entries that onnx does not know
            return onnx.numpy_helper.to_array(tensor, base_dir=str(path.parent))
    except (OSError, ValueError, TypeError, RuntimeError, onnx.checker.ValidationError) as error:
        raise InputError(
            f"{path}: its weights beside it cannot be read ({first_line(error)}); fetch or convert both files again"
        ) from None
