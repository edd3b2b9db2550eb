"""Reading safetensors files: the tensors as references into the file, read no earlier than they are asked for.

The library itself checks a file's header, whose offsets must lie in the file one after the other. It hands out arrays
of numpy's own types alone; so where the bytes lie is taken from the header. Source: https://github.com/huggingface/
safetensors, "Format".
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line, quoted, reason_of
from aves_artifacts.files.documents import parse_json
from aves_artifacts.files.file_bytes import FileBytes
from aves_convert.torch_files.tensors import LazyTensor, OpenFile, Storage
from aves_convert.torch_files.zip_directory import Extent

_LARGEST = 8 << 20  # bytes of a header; one of a thousand tensors has some hundred thousand
_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}


def open_safetensors(path: Path) -> dict[str, LazyTensor]:
    """List the tensors of a file by name, none of them read. Raises InputError for a damaged or another file."""
    from safetensors import SafetensorError, safe_open

    try:
        data = FileBytes(path)
        size = int.from_bytes(data[:8], "little")
        if size > _LARGEST:
            raise InputError(f"{path}: no safetensors file of an encoder: a header of {size:,} bytes")
        with safe_open(path, framework="numpy"):  # it reads the header, and refuses whatever is wrong with it
            header = parse_json(data[8 : 8 + size])
    except OSError as error:
        raise InputError(f"{path}: cannot read the file: {reason_of(error)}") from None
    except (SafetensorError, ValueError) as error:
        raise InputError(f"{path}: a damaged safetensors file ({first_line(error)}); fetch it again") from None
    header.pop("__metadata__", None)
    file = OpenFile(path, data, {})
    return {name: _tensor(file, name, entry, 8 + size) for name, entry in header.items()}


def _tensor(file: OpenFile, name: str, entry: dict[str, Any], begin: int) -> LazyTensor:
    if entry["dtype"] not in _DTYPES:
        raise InputError(f"{file.path}: {quoted(name)} is of type {quoted(entry['dtype'])}, expected numbers")
    dtype, shape = _DTYPES[entry["dtype"]], tuple(entry["shape"])
    first, last = entry["data_offsets"]
    if begin + last > len(file.data):  # cut off between the library's look at it and ours
        raise InputError(f"{file.path}: a damaged safetensors file (it ends inside a tensor); fetch it again")
    file.extents[name] = Extent(begin + first, last - first, 0)
    strides = tuple(itertools.accumulate(reversed((*shape[1:], 1)), int.__mul__))[::-1] if shape else ()
    storage = Storage(file, name, dtype, (last - first) // dtype.itemsize)
    return LazyTensor(dtype, shape, strides, 0, storage)
