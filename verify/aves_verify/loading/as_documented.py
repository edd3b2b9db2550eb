"""Loading a TorchAudio port as its users do, with torch itself: it must give the tensors that our reader sees."""

from __future__ import annotations

import hashlib
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
from aves_artifacts.base.process import Limits, call_apart
from aves_convert.weights.state_dict import old_weight_norm_name

_MOST_TOLD = 5  # tensors
Content = tuple[str, tuple[int, ...], str]  # of a tensor: its device, its shape and the SHA-256 of its float32 numbers


def loading_problems(path: Path, read: Mapping[str, NDArray[np.float32]]) -> Iterator[str]:
    """Tell why ``torch.load(path, weights_only=True)`` does not give the tensors that were ``read``.

    Only for a file that our own reader has accepted: torch then has nothing to make but these tensors. It makes them in
    a process of its own all the same.
    """
    try:
        loaded: dict[str, Content] = call_apart(
            __name__, "contents", path, limits=Limits.of_loading(path.stat().st_size)
        )
    except Exception as error:  # whatever torch makes of a file that it did not write
        yield f"torchaudio: torch.load(weights_only=True) does not load {path}: {first_line(error)}"
        return
    expected = {name: content("cpu", values) for name, values in read.items()}
    names = {name: old_weight_norm_name(name) for name in loaded}
    different = [name for name, known in names.items() if known not in read or expected[known][1:] != loaded[name][1:]]
    different += read.keys() - names.values()
    if different:
        told = listed(list(map(printable, different)), _MOST_TOLD)
        yield f"torchaudio: torch.load gives other tensors than {path} holds: {told}"
    devices = {device for device, _, _ in loaded.values()} - {"cpu"}
    if devices:
        yield f"torchaudio: {path} was saved on {', '.join(sorted(devices))}, and does not load where there is none"


def contents(path: Path) -> dict[str, Content]:
    """What torch makes of a file, tensor by tensor."""
    return {
        name: content(str(tensor.device), tensor.detach().to("cpu", torch.float32).contiguous().numpy())
        for name, tensor in _loaded(path).items()
    }


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


def content(device: str, values: NDArray[np.float32]) -> Content:
    """Tell what a tensor is by: its device, its shape and the SHA-256 of its numbers."""
    digest = hashlib.sha256(np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint8).data)
    return device, values.shape, digest.hexdigest()
