"""Writing torch's zip format without pickle and torch.save: the same bytes whatever torch is installed.

``torch.save`` writes other records with every release; a port's hash must not depend on the torch that wrote it. The
pickle stream is spelled out opcode by opcode (protocol 2), so objects of classes that are not installed, such as
fairseq's Dictionary, can be written too. Source of the format: torch ``torch/serialization.py`` (``_save``, ``_load``)
and ``caffe2/serialize/inline_container.cc`` (records aligned to 64 bytes).
"""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.files.writing import replacing

_ALIGNMENT = 64
STORAGE_CLASSES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


@dataclass(frozen=True)
class PickledObject:
    """An object to be written as an instance of a class that need not be installed here."""

    module: str
    name: str
    state: Mapping[str, Any]


def write_torch_file(root: object, path: Path) -> None:
    """Write containers, numbers, strings, PickledObjects, and arrays as tensors, so that ``torch.load`` reads them.

    The file appears whole or not at all. Raises InputError where nothing can be written.
    """
    tensors: list[NDArray[Any]] = []
    pickled = b"\x80\x02" + _encode(root, tensors) + b"."
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "archive/data.pkl", pickled)
        _add(archive, "archive/byteorder", b"little")
        for key, tensor in enumerate(tensors):
            _add(archive, f"archive/data/{key}", _bytes_of(tensor))
        _add(archive, "archive/version", b"3\n")


def _encode(value: object, tensors: list[NDArray[Any]]) -> bytes:
    """The opcodes that put ``value`` on the unpickler's stack; tensors are collected in order."""
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        size = value.bit_length() // 8 + 1
        return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode()
        return b"X" + struct.pack("<I", len(text)) + text
    if isinstance(value, np.ndarray):
        return _encode_tensor(value, tensors)
    if isinstance(value, tuple):
        return b"(" + b"".join(_encode(item, tensors) for item in value) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(_encode(item, tensors) for item in value) + b"e"
    if isinstance(value, Mapping):
        return b"}(" + b"".join(_encode(k, tensors) + _encode(v, tensors) for k, v in value.items()) + b"u"
    if isinstance(value, PickledObject):  # copyreg.__reduce_ex__ of protocol 2: cls.__new__(cls), then its __dict__
        return _global(value.module, value.name) + b")\x81" + _encode(dict(value.state), tensors) + b"b"
    raise TypeError(f"cannot write a {type(value).__name__} into a torch file")


def _encode_tensor(tensor: NDArray[Any], tensors: list[NDArray[Any]]) -> bytes:
    """``torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)``, contiguous."""
    storage = (
        b"("
        + _encode("storage", tensors)
        + _global("torch", STORAGE_CLASSES[tensor.dtype.name])
        + b"".join(_encode(item, tensors) for item in (str(len(tensors)), "cpu", tensor.size))
        + b"tQ"
    )
    tensors.append(tensor)
    stride = tuple(math.prod(max(size, 1) for size in tensor.shape[i + 1 :]) for i in range(tensor.ndim))
    arguments = b"".join(_encode(item, tensors) for item in (0, tensor.shape, stride, False))
    hooks = _global("collections", "OrderedDict") + b")R"
    return _global("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + arguments + hooks + b"tR"


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _bytes_of(tensor: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data if tensor.size else memoryview(b"")


def _add(archive: zipfile.ZipFile, name: str, data: bytes | memoryview) -> None:
    """Add one stored entry, its data aligned so that ``torch.load(mmap=True)`` can map it."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system = 3  # Unix, whatever system writes it
    entry.external_attr = 0o644 << 16
    assert archive.fp is not None  # noqa: S101 - open for writing
    header = archive.fp.tell() + 30 + len(name) + 4
    padding = -header % _ALIGNMENT
    entry.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
    archive.writestr(entry, data)
