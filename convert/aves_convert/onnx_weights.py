"""The weights of an ONNX file, one at a time and where they lie: onnx.load copies all of them twice."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper

from aves_artifacts.errors import InputError
from aves_convert.protobuf_fields import Fields


def graph_weights(path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Name and values of every initializer, those in files beside it too; the arrays are the file's own memory.

    Raises InputError for a file that is no ONNX, is damaged, or lacks the file with its weights.
    """
    try:
        with path.open("rb") as stream:
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)  # closes itself when no array is left
        for start, stop in _initializers(Fields(data)):
            yield _weight(Fields(data), start, stop, path)
    except (OSError, ValueError, TypeError, DecodeError, onnx.checker.ValidationError) as error:
        reason = f"{str(error).splitlines()[0]:.120}"
        raise InputError(f"{path}: a damaged or truncated ONNX file ({reason}); fetch or convert it again") from None


def _initializers(fields: Fields) -> Iterator[tuple[int, int]]:
    """Begin and end of each TensorProto."""
    for _, number, begin, end in fields.within(0, len(fields.data)):
        if number == onnx.ModelProto.GRAPH_FIELD_NUMBER:
            for _, part, start, stop in fields.within(begin, end):
                if part == onnx.GraphProto.INITIALIZER_FIELD_NUMBER:
                    yield start, stop


def _weight(fields: Fields, start: int, stop: int, path: Path) -> tuple[str, NDArray[Any]]:
    head, begin, end = bytearray(), 0, 0
    for tag, number, first, last in fields.within(start, stop):
        if number == TensorProto.RAW_DATA_FIELD_NUMBER:
            begin, end = first, last
        else:
            head += fields.data[tag:last]
    tensor = TensorProto.FromString(bytes(head))
    dtype, count = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)), math.prod(tensor.dims)
    if count * dtype.itemsize == end - begin:
        return tensor.name, np.frombuffer(fields.data, dtype.newbyteorder("<"), count, begin).reshape(tensor.dims)
    if end > begin:  # several values to the byte
        tensor.raw_data = fields.data[begin:end]
    return tensor.name, onnx.numpy_helper.to_array(tensor, base_dir=str(path.parent))
