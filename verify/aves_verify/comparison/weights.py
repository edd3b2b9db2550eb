"""Comparing a port's weights with the original's, tensor by tensor: outputs do not show all of them.

A bias of the keys cancels in the softmax, and a common factor of ``weight_v`` in the weight norm: a fault there changes
no output today, and the user who fine-tunes it tomorrow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.messages import cut_off

_MOST_TOLD = 5  # tensors told one by one; the rest is counted


@dataclass(frozen=True)
class WeightSearch:
    """What became of the original's weights in a graph."""

    expected: int
    found: int  # and used
    missing: tuple[str, ...] = field(default=(), repr=False)  # neither there nor contradicted: merged into others
    problems: tuple[str, ...] = ()
    rounded: Mapping[str, int] = field(default_factory=dict)  # how many of them are there in fewer bits, by the type

    @property
    def text(self) -> str:
        """The result in one sentence."""
        told = f"{self.found} of {self.expected} weights of the original found and used"
        if self.rounded:
            told += f", {' and '.join(f'{count} of them in {kind}' for kind, count in self.rounded.items())}"
        return f"{told}; not found: {', '.join(self.missing)}" if self.missing else told


def torchaudio_weights(
    original: Mapping[str, NDArray[np.float32]], ported: Mapping[str, NDArray[np.float32]], where: Path
) -> WeightSearch:
    """Compare a TorchAudio port's tensors with the original's bit for bit; each other one is a problem."""
    return bitwise("torchaudio", original, ported, where)


def bitwise(
    backend: str, original: Mapping[str, NDArray[np.float32]], ported: Mapping[str, NDArray[np.float32]], where: Path
) -> WeightSearch:
    """Compare the tensors of a port that has the same ones, bit for bit; each other one is a problem."""
    different = {
        name: (ported[name], tensor) for name, tensor in original.items() if not _same_bits(ported[name], tensor)
    }
    problems = tuple(_told(backend, different, where))
    return WeightSearch(len(original), len(original) - len(different), problems=problems)


def fingerprint(state_dict: Mapping[str, NDArray[np.float32]]) -> str:
    """Hash the names, shapes and values of an encoder's weights: the same in whatever file and order they are."""
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
            f"where the largest value is {np.abs(b).max():.2e}{rounded(found, expected)}"
        )
    if left:
        yield f"{backend}: and {left} more tensors of {where} are not the original's"


def rounded(found: NDArray[np.generic], expected: NDArray[np.generic]) -> str:
    """Tell whether a difference is the usual one: values that went through half precision."""
    if found.shape != expected.shape:
        return ""
    with np.errstate(over="ignore", invalid="ignore"):
        found = found.astype(expected.dtype)
    for dtype in (np.float16, ml_dtypes.bfloat16):
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = expected.astype(dtype)
        if np.array_equal(found, rounded.astype(expected.dtype)):
            return f"; it is the original's, rounded to {rounded.dtype}"
    return ""
