"""A bundle's weights as its two files hold them: the state dict, which torch reads, and the safetensors copy."""

from __future__ import annotations

import hashlib
import inspect
import os
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line, printable
from aves_artifacts.files.documents import open_file

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a file, still in it. ``read`` gives its numbers where they are float32, and is not for others."""

    dtype: str  # as numpy and torch name it, e.g. "float16"
    shape: tuple[int, ...]
    read: Callable[[], NDArray[np.float32]]


Weights: TypeAlias = Mapping[str, StoredTensor]

_LARGEST_PICKLE = 4 << 20  # bytes; names and shapes of some hundred tensors have some ten thousand
# What a state dict's pickle may name, and the opcodes that name things in other ways; torch.save uses none of them.
_CALLED = {
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("collections", "OrderedDict"),
}
_CALLED_OTHERWISE = {"STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4", "NEWOBJ", "NEWOBJ_EX", "BYTEARRAY8"}
_SAFETENSORS_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_FLOAT8 = (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2, ml_dtypes.float8_e5m2fnuz)
# By its name in a ledger: what a source may be stored in beside float32.
_SOURCE_DTYPES: dict[str, np.dtype[Any]] = {
    np.dtype(kind).name: np.dtype(kind) for kind in (np.float64, np.float16, ml_dtypes.bfloat16, *_FLOAT8)
}


def read_state_dict(path: Path) -> Weights:
    """The state dict as torch loads it: mapped and not read where torch can do that, from 2.1 on.

    Raises InputError where torch does not load one, which runs nothing.
    """
    _refuse_more_than_tensors(path)
    import torch

    mapped = {"mmap": True} if "mmap" in inspect.signature(torch.load).parameters else {}
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True, **mapped)
    except Exception as error:  # whatever torch makes of a file that it did not write
        raise InputError(f"does not load: {first_line(error)}") from None
    if type(weights) is not dict or not all(map(_is_dense, weights.values())):
        raise InputError("holds something else than a state dict")
    return {name: _of_torch(tensor) for name, tensor in weights.items()}


def _refuse_more_than_tensors(path: Path) -> None:
    """Raise InputError for a file in which torch would find more than tensors, all of them in the file as they are.

    What torch may load without running anything can still unpack to gigabytes, or ask for an array of any size.
    """
    try:
        with open_file(path) as stream, zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            size = os.fstat(stream.fileno()).st_size
            stored = all(e.compress_type == zipfile.ZIP_STORED and e.compress_size == e.file_size for e in entries)
            if not stored or sum(entry.file_size for entry in entries) > size:
                raise InputError("does not load: it is compressed, which torch.save never does")
            named = [entry for entry in entries if entry.filename.endswith(".pkl")]
            if len(named) != 1 or named[0].file_size > _LARGEST_PICKLE:
                raise InputError("does not load: it is no file of weights that torch.save wrote")
            _refuse_other_names(archive.read(named[0]))
    # RuntimeError: an entry that says it is encrypted; ValueError: a damaged pickle, or a name that is no text
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise InputError(f"does not load: it is no file that torch.save wrote ({first_line(error)})") from None


def _refuse_other_names(pickled: bytes) -> None:
    """Raise InputError where a pickle has more than names, numbers and tensors; ValueError for a damaged one."""
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in _CALLED_OTHERWISE:
            raise InputError("does not load: it holds something else than a state dict")
        if opcode.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            storage = module in ("torch", "torch.storage") and name.endswith("Storage")
            if not storage and (module, name) not in _CALLED:
                raise InputError(
                    f"does not load: it holds something else than a state dict: {printable(f'{module}.{name}')}"
                )


def read_copy(path: Path) -> Weights:
    """The safetensors copy, in which each tensor is read when it is asked for. Raises InputError for another file."""
    from safetensors import SafetensorError, safe_open

    try:
        copy: Any = safe_open(path, framework="numpy")
        return {str(name): _of_safetensors(copy, name) for name in copy.keys()}  # noqa: SIM118 - it is no dict
    except SafetensorError as error:
        raise InputError(f"does not load: {first_line(error)}") from None


def format_of(path: Path) -> str | None:
    """Read whose tensors a safetensors file says that it has: "pt" for torch. Raises InputError for another file."""
    from safetensors import SafetensorError, safe_open

    try:
        opened: Any = safe_open(path, framework="numpy")
        return (opened.metadata() or {}).get("format")
    except SafetensorError as error:
        raise InputError(f"does not load: {first_line(error)}") from None


def sha256_as(tensor: StoredTensor, dtype: str) -> str:
    """Hash a tensor's bytes in the dtype that it had in the source: to float32 and back, nothing is lost."""
    with np.errstate(all="ignore"):  # of numbers that the source's dtype cannot hold, the hash is another
        stored = tensor.read().astype(_SOURCE_DTYPES.get(dtype, np.float32), copy=False)
    return hashlib.sha256(np.ascontiguousarray(stored).reshape(-1).view(np.uint8).data).hexdigest()


def same_bits(one: StoredTensor, other: StoredTensor) -> bool:
    """Whether two tensors have the same bytes; of others than float32, which no port has, type and shape count."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return one.dtype != "float32" or bool(np.array_equal(one.read().view(np.uint32), other.read().view(np.uint32)))


def _is_dense(tensor: object) -> bool:
    import torch

    return isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided


def _of_torch(tensor: torch.Tensor) -> StoredTensor:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return StoredTensor(dtype, tuple(tensor.shape), lambda: tensor.detach().contiguous().numpy())


def _of_safetensors(copy: Any, name: str) -> StoredTensor:
    part = copy.get_slice(name)
    dtype = part.get_dtype()
    return StoredTensor(_SAFETENSORS_DTYPES.get(dtype, dtype), tuple(part.get_shape()), lambda: copy.get_tensor(name))
