"""Loading a TorchAudio port as its users do, with torch itself: it must give the tensors that our reader sees."""

from __future__ import annotations

import inspect
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aves_artifacts.base.messages import first_line, listed, printable
from aves_convert.weights.state_dict import old_weight_norm_name

_MOST_TOLD = 5  # tensors


def loading_problems(path: Path, read: Mapping[str, NDArray[np.float32]]) -> Iterator[str]:
    """Tell why ``torch.load(path, weights_only=True)`` does not give the tensors that were ``read``.

    Only for a file that our own reader has accepted: torch then has nothing to make but these tensors.
    """
    try:
        loaded = _loaded(path)
    except Exception as error:  # whatever torch makes of a file that it did not write
        yield f"torchaudio: torch.load(weights_only=True) does not load {path}: {first_line(error)}"
        return
    different = [name for name, tensor in loaded.items() if not _is_same(tensor, read.get(old_weight_norm_name(name)))]
    if different:
        names = listed(list(map(printable, different)), _MOST_TOLD)
        yield f"torchaudio: torch.load gives other tensors than {path} holds: {names}"
    devices = {str(tensor.device) for tensor in loaded.values()} - {"cpu"}
    if devices:
        yield f"torchaudio: {path} was saved on {', '.join(sorted(devices))}, and does not load where there is none"


def _loaded(path: Path) -> dict[str, torch.Tensor]:
    """What torch makes of it; mapped, not read, where torch can do that."""
    mapped: dict[str, Any] = {}
    if "mmap" in inspect.signature(torch.load).parameters and zipfile.is_zipfile(path):
        mapped["mmap"] = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = torch.load(path, weights_only=True, **mapped)
    if not isinstance(loaded, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in loaded.values()):
        raise TypeError("it gives something else than a state dict")
    return dict(loaded)


def _is_same(tensor: torch.Tensor, read: NDArray[np.float32] | None) -> bool:
    if read is None or tuple(tensor.shape) != read.shape:
        return False
    values = tensor.detach().to("cpu", torch.float32).contiguous().numpy()
    return np.array_equal(values.reshape(-1).view(np.uint32), np.ascontiguousarray(read).reshape(-1).view(np.uint32))
