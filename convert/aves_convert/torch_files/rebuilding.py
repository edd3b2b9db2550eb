"""The few functions of torch that a pickle may name to make tensors, here as makers of lazy ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

from aves_artifacts.base.messages import quoted
from aves_convert.pickles.records import Global, Record
from aves_convert.torch_files.tensors import FLOATING, LazyTensor, OpenFile, Storage, span_of

_MAX_DIMENSIONS = 32  # numpy 1's limit; torch's is 64, and an encoder has three
_MAX_KEY = 100  # characters of a storage's name, which is a number
_MAX_SIZE = 2**56  # far above any file, far below where 64-bit arithmetic wraps

# torch's storage classes. A class that is not here (quantised, say) gives tensors that stay records.
_STORAGE_DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(element)
    for name, element in {
        "BFloat16Storage": ml_dtypes.bfloat16,
        "BoolStorage": np.bool_,
        "ByteStorage": np.uint8,
        "CharStorage": np.int8,
        "ComplexDoubleStorage": np.complex128,
        "ComplexFloatStorage": np.complex64,
        "DoubleStorage": np.float64,
        "FloatStorage": np.float32,
        "HalfStorage": np.float16,
        "IntStorage": np.int32,
        "LongStorage": np.int64,
        "ShortStorage": np.int16,
        "UntypedStorage": np.uint8,
    }.items()
}
_STORAGE_MODULES = ("torch", "torch.cuda", "torch.storage")
_UNSIGNED = tuple(map(np.dtype, (np.uint16, np.uint32, np.uint64)))
_DTYPES = {dtype.name: dtype for dtype in (*_STORAGE_DTYPES.values(), *FLOATING, *_UNSIGNED)}


@dataclass(frozen=True, eq=False)
class Storages:
    """The storages that a pickle mentions, by key; all mentions of one must agree."""

    file: OpenFile
    known: dict[str, Storage] = field(default_factory=dict)
    # Zip files list their storages before the pickle is read; legacy ones put them after it.
    sizes_known: bool = True

    def load(self, key: object) -> object:
        """Find the storage of a persistent id ``('storage', class, key, location, numel[, view])``. Raises ValueError.

        ``location`` (``cpu``, ``cuda:0``) is ignored: everything is read to the CPU.
        """
        if type(key) is not tuple or len(key) not in (5, 6) or key[0] != "storage" or type(key[1]) is not Global:
            raise ValueError("a persistent id that is no storage of a tensor")
        _, cls, name, _, numel, *view = key
        if not is_key(name) or not _is_size(numel):
            raise ValueError("a storage without a name or a size")
        dtype = _STORAGE_DTYPES.get(cls.name) if cls.module in _STORAGE_MODULES else None
        storage = Storage(self.file, str(name), dtype, numel)
        earlier = self.known.setdefault(storage.key, storage)
        if (earlier.dtype, earlier.numel) != (dtype, numel):
            raise ValueError(f"the storage {quoted(storage.key)} has two sizes or element types")
        if self.sizes_known:
            self.check(storage)
        return _view_of(storage, view[0]) if view and view[0] is not None else earlier

    def check(self, storage: Storage) -> None:
        """Raise ValueError unless the file holds every element of a storage."""
        extent = self.file.extents.get(storage.key)
        if extent is None:
            raise ValueError(f"the file lacks the storage {quoted(storage.key)}")
        needed = storage.numel * storage.dtype.itemsize if storage.dtype else 0
        if extent.size < needed:
            raise ValueError(f"the storage {quoted(storage.key)} has {extent.size} bytes where {needed} are claimed")


def _view_of(storage: Storage, view: object) -> Storage:
    """A part of a storage, as legacy files describe it: ``(key of the view, offset, numel)`` in elements."""
    if type(view) is not tuple or len(view) != 3 or not _is_size(view[1]) or not _is_size(view[2]):
        raise ValueError("a view of a storage without offset and size")
    _, offset, numel = view
    if offset + numel > storage.numel:
        raise ValueError(f"a view reaches past the end of the storage {quoted(storage.key)}")
    return Storage(storage.file, storage.key, storage.dtype, numel, offset)


def is_key(name: object) -> bool:
    """Whether it may be the name of a storage: a number, or a short text."""
    return (type(name) is str and len(name) <= _MAX_KEY) or _is_size(name)


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < _MAX_SIZE


def _tensor(storage: object, dtype: np.dtype[Any] | None, offset: object, shape: object, stride: object) -> LazyTensor:
    """A tensor whose every element lies inside its storage. Raises ValueError."""
    if type(storage) is not Storage or storage.dtype is None or dtype is None:
        raise ValueError("a tensor without a storage")
    if not isinstance(shape, tuple) or not isinstance(stride, tuple) or not _is_size(offset):
        raise ValueError("a tensor without shape, stride and offset")
    sizes, steps = shape, stride
    if len(sizes) != len(steps) or len(sizes) > _MAX_DIMENSIONS or not all(map(_is_size, (*sizes, *steps))):
        raise ValueError("a tensor with impossible shape or stride")
    available = storage.numel * storage.dtype.itemsize // dtype.itemsize
    if math.prod(sizes) and offset + span_of(sizes, steps) > available:  # type: ignore[operator]
        raise ValueError(
            f"a tensor of shape {list(sizes)[:8]} reaches past the end of its storage of {available} values"
        )
    if math.prod(size for size in sizes if size) >= _MAX_SIZE:
        raise ValueError("a tensor with impossible shape or stride")
    return LazyTensor(dtype, sizes, steps, offset, storage)  # type: ignore[arg-type]


def _rebuild_tensor(args: tuple[object, ...]) -> object:
    """``_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, metadata)``; older ones end earlier."""
    if not 4 <= len(args) <= 7:
        raise ValueError("a tensor described by other arguments than torch's")
    storage = args[0]
    if type(storage) is Storage and storage.dtype is None:
        return Record(Global("torch._utils", "_rebuild_tensor_v2"), args)
    _refuse_metadata(args[6:])
    return _tensor(storage, storage.dtype if type(storage) is Storage else None, *args[1:4])


def _rebuild_tensor_v3(args: tuple[object, ...]) -> object:
    """``_rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype, metadata)``: untyped storage."""
    if not 7 <= len(args) <= 8:
        raise ValueError("a tensor described by other arguments than torch's")
    storage, name = args[0], args[6]
    dtype = _DTYPES.get(name.name) if type(name) is Global and name.module == "torch" else None
    if dtype is None or (type(storage) is Storage and storage.dtype is None):
        return Record(Global("torch._utils", "_rebuild_tensor_v3"), args)
    _refuse_metadata(args[7:])
    return _tensor(storage, dtype, *args[1:4])


def _refuse_metadata(metadata: tuple[object, ...]) -> None:
    """Lazy conjugation or negation would have to be applied; no checkpoint of an encoder has it."""
    if metadata and metadata[0]:
        raise ValueError("a tensor with metadata (conjugate or negative bit)")


def _refuse_state(state: tuple[object, ...]) -> None:
    """Plain marks such as ``expert`` change no value; anything else torch applies, and may put other values there."""
    if not state or state[0] in (None, ()):
        return
    marks = state[0]
    if type(marks) is not dict or not all(type(value) in (bool, int, float, str) for value in marks.values()):
        raise ValueError("a tensor with state, which torch applies to it")


def _rebuild_parameter(args: tuple[object, ...]) -> object:
    """``_rebuild_parameter(data, requires_grad, hooks[, state])`` is its data."""
    if not 3 <= len(args) <= 4 or type(args[0]) not in (LazyTensor, Record):
        raise ValueError("a parameter without a tensor")
    _refuse_state(args[3:])
    return args[0]


def _rebuild_from_type(args: tuple[object, ...]) -> object:
    """``_rebuild_from_type_v2(function, type, arguments, state)``: a tensor that carries attributes."""
    if len(args) == 4 and isinstance(args[0], Global) and args[0] in _BY_NAME and isinstance(args[2], tuple):
        _refuse_state(args[3:])
        return _BY_NAME[args[0]](args[2])
    return Record(Global("torch._tensor", "_rebuild_from_type_v2"), args)


_BY_NAME: dict[Global, Callable[[tuple[object, ...]], object]] = {
    Global("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    Global("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    Global("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor_v3,
    Global("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    Global("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
}


REBUILD: Mapping[Global, Callable[[tuple[object, ...]], object]] = {
    **_BY_NAME,
    Global("torch._tensor", "_rebuild_from_type_v2"): _rebuild_from_type,
}
