"""Between torch's tensors and numpy's arrays, bit for bit, also where numpy alone lacks the element type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray


def array(tensor: torch.Tensor) -> NDArray[Any]:
    """The tensor's values in an array of its own."""
    name = str(tensor.dtype).removeprefix("torch.")
    bits = tensor.detach().reshape(-1).contiguous().view(torch.uint8).numpy().copy()
    return bits.view(np.dtype(getattr(ml_dtypes, name, name))).reshape(tuple(tensor.shape))


def tensor(values: NDArray[Any]) -> torch.Tensor:
    """The array's values in a tensor of its own."""
    bits = torch.from_numpy(np.ascontiguousarray(values).reshape(-1).view(np.uint8).copy())
    return bits.view(getattr(torch, values.dtype.name)).reshape(values.shape)


def arrays(state_dict: Mapping[str, torch.Tensor]) -> dict[str, NDArray[Any]]:
    """A state dict as this project's writers take it."""
    return {name: array(value) for name, value in state_dict.items()}


def with_tensors(contents: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's contents as fairseq has them when it saves: the model's weights as tensors."""
    return {**contents, "model": {name: tensor(values) for name, values in contents["model"].items()}}
