"""A bundle's weights as its two files hold them: the state dict, which torch reads, and the safetensors copy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a file, still in it. ``read`` gives its numbers where they are float32, and is not for others."""

    dtype: str  # as numpy and torch name it, e.g. "float16"
    shape: tuple[int, ...]
    read: Callable[[], NDArray[np.float32]]


Weights: TypeAlias = Mapping[str, StoredTensor]

_SAFETENSORS_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def read_state_dict(path: Path) -> Weights:
    """The state dict as torch loads it: mapped and not read where torch can do that, from 2.1 on.

    Raises InputError where torch does not load one, which runs nothing.
    """
    import torch

    mapped = {"mmap": True} if "mmap" in inspect.signature(torch.load).parameters else {}
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True, **mapped)
    except Exception as error:  # whatever torch makes of a file that it did not write
        raise InputError(f"does not load: {first_line(error)}") from None
    if type(weights) is not dict or not all(map(_is_dense, weights.values())):
        raise InputError("holds something else than a state dict")
    return {name: _of_torch(tensor) for name, tensor in weights.items()}


def read_copy(path: Path) -> Weights:
    """The safetensors copy, in which each tensor is read when it is asked for. Raises InputError for another file."""
    from safetensors import SafetensorError, safe_open

    try:
        copy: Any = safe_open(path, framework="numpy")
        return {str(name): _of_safetensors(copy, name) for name in copy.keys()}  # noqa: SIM118 - it is no dict
    except SafetensorError as error:
        raise InputError(f"does not load: {first_line(error)}") from None


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
