"""Which of a graph's values is the one that is looked for? Found by what it holds, whatever its name and layout are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_verify.operators.exact import is_real

_LOOKED_AT = 400  # elements of each candidate, to tell which are near
_NEAREST = 3  # candidates that are then compared element by element

Shape = tuple[int, ...]


class Candidates:
    """A graph's floating-point values by name, to be searched by what they hold."""

    def __init__(self, values: Mapping[str, NDArray[Any]]) -> None:
        self._by_size: dict[int, list[tuple[str, NDArray[Any]]]] = {}
        for name, value in values.items():
            if is_real(value):
                self._by_size.setdefault(value.size, []).append((name, value))
        self._arranged: dict[tuple[Shape, bool], _Arranged] = {}

    def nearest(self, wanted: NDArray[np.float64], *, longer: bool = False) -> tuple[str, NDArray[Any]] | None:
        """Name and values of what is nearest to ``wanted``, brought to its layout; None without one of its size.

        With ``longer`` values of one frame [batch, frames, channels] more are cut at the end, as the original cuts
        what its positional convolution gives.
        """
        key = (wanted.shape, longer)
        if key not in self._arranged:
            self._arranged[key] = _Arranged(self._views(wanted.shape, longer=longer), wanted.shape)
        return self._arranged[key].nearest(wanted)

    def _views(self, shape: Shape, *, longer: bool) -> Iterator[tuple[str, NDArray[Any]]]:
        for name, value in self._by_size.get(math.prod(shape), ()):
            yield from ((name, view) for view in layouts(value, shape))
        if longer:
            batch, frames, channels = shape
            for name, value in self._by_size.get(batch * (frames + 1) * channels, ()):
                yield from ((name, view[:, :frames]) for view in layouts(value, (batch, frames + 1, channels)))


class _Arranged:
    """Candidates in one layout, with a few elements of each side by side."""

    def __init__(self, views: Iterator[tuple[str, NDArray[Any]]], shape: Shape) -> None:
        self._views = list(views)
        rng = np.random.default_rng(0)
        self._places = tuple(rng.integers(0, size, _LOOKED_AT) for size in shape)
        self._samples = np.array([view[self._places] for _, view in self._views], np.float64).reshape(-1, _LOOKED_AT)

    def nearest(self, wanted: NDArray[np.float64]) -> tuple[str, NDArray[Any]] | None:
        if not self._views:
            return None
        with np.errstate(invalid="ignore", over="ignore"):
            distances = np.square(self._samples - wanted[self._places]).mean(axis=1)
        distances[~np.isfinite(distances)] = np.inf
        near = [self._views[i] for i in np.argsort(distances, kind="stable")[:_NEAREST]]
        nearest: tuple[str, NDArray[Any]] = min(near, key=lambda item: distance(item[1], wanted))
        return nearest


def distance(value: NDArray[Any], wanted: NDArray[np.float64]) -> float:
    """RMS of the difference of two arrays of one shape; infinite where it is no number."""
    with np.errstate(invalid="ignore", over="ignore"):
        found = float(np.sqrt(np.mean(np.square(value.astype(np.float64) - wanted))))
    return found if math.isfinite(found) else math.inf


def layouts(value: NDArray[Any], shape: Shape) -> Iterator[NDArray[Any]]:
    """Views of a value in the wanted shape: its axes in any order, and batch and frames as one axis."""
    squeezed = np.squeeze(value)
    wanted = tuple(size for size in shape if size != 1)
    for order in itertools.permutations(range(squeezed.ndim)):
        turned = squeezed.transpose(order)
        if turned.shape == wanted:
            yield turned.reshape(shape)
    if len(shape) == 3 and shape[0] > 1 and squeezed.ndim == 2:
        batch, frames, channels = shape
        for turned in (squeezed, squeezed.T):
            if turned.shape == (batch * frames, channels):
                yield turned.reshape(shape)
                yield turned.reshape(frames, batch, channels).transpose(1, 0, 2)
    if len(shape) == 4 and squeezed.ndim == 3 and squeezed.shape[1:] == shape[2:]:
        yield squeezed.reshape(shape)
