"""Is every weight of a port the original's? Told tensor by tensor, because outputs do not show all of them.

A bias of the keys cancels in the softmax, and a common factor of ``weight_v`` in the weight norm: a fault there changes
no output today, and the user who fine-tunes it tomorrow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.messages import cut_off
from aves_convert.graph.file_weights import graph_weights

_MOST_TOLD = 5  # tensors told one by one; the rest is counted


def torchaudio_problems(
    original: Mapping[str, NDArray[np.float32]], ported: Mapping[str, NDArray[np.float32]], where: Path
) -> Iterator[str]:
    """Every tensor of a TorchAudio port that is not bit for bit the original's, with the size of the difference."""
    different = {
        name: (ported[name], tensor) for name, tensor in original.items() if not _same_bits(ported[name], tensor)
    }
    yield from _told("torchaudio", different, where)


def onnx_problems(original: Mapping[str, NDArray[np.float32]], path: Path) -> Iterator[str]:
    """The same for an ONNX file's weights, as far as they keep the state dict's names and shapes, as ours do.

    Weights that a graph holds folded or transposed are judged by what it computes.
    """
    different = {}
    for name, found in graph_weights(path, lambda name, shape: name in original and original[name].shape == shape):
        if found.dtype.kind not in "fV":  # V: bfloat16 and the like
            yield f"onnx: {name} in {path} is {found.dtype}, the original's is {original[name].dtype}"
        elif not _same_bits(found, original[name]):
            different[name] = (found, original[name])
    yield from _told("onnx", different, path)


def fingerprint(state_dict: Mapping[str, NDArray[np.float32]]) -> str:
    """SHA-256 over the names, shapes and values of an encoder's weights, in whatever file and order they are."""
    digest = hashlib.sha256()
    for name in sorted(state_dict):
        array = state_dict[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _same_bits(a: NDArray[np.generic], b: NDArray[np.generic]) -> bool:
    """Of one kind and equal in all bits, NaN included."""
    if a.dtype != b.dtype:
        return False
    one, other = (np.ascontiguousarray(array).reshape(-1).view(f"u{array.itemsize}") for array in (a, b))
    return np.array_equal(one, other)


def _told(
    backend: str, different: Mapping[str, tuple[NDArray[np.generic], NDArray[np.generic]]], where: Path
) -> Iterator[str]:
    told, left = cut_off(list(different.items()), _MOST_TOLD)
    for name, (found, expected) in told:
        with np.errstate(invalid="ignore"):
            a, b = found.astype(np.float64), expected.astype(np.float64)
            size = np.abs(a - b).max()
        yield (
            f"{backend}: {name} in {where} is not the original's: max |difference| {size:.2e} "
            f"where the largest value is {np.abs(b).max():.2e}{_rounded(found, expected)}"
        )
    if left:
        yield f"{backend}: and {left} more tensors of {where} are not the original's"


def _rounded(found: NDArray[np.generic], expected: NDArray[np.generic]) -> str:
    """The usual cause, where it is that: the original's values went through half precision."""
    for dtype in (np.float16, ml_dtypes.bfloat16):
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = expected.astype(dtype)
        if np.array_equal(found, rounded.astype(expected.dtype)):
            return f"; it is the original's, rounded to {rounded.dtype}"
    return ""
