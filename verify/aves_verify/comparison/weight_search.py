"""Searching a graph for every weight of the original, by value, whatever it is called there.

An export renames weights, transposes them, joins three into one, widens them to float64 and folds the weight norm. So a
weight is sought among all constants as it is, with its axes in any order, as a block of a larger constant, folded, and
in the basis that our own graphs give the first convolution. Two weights that are equal must be read twice.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.messages import cut_off, printable
from aves_convert.graph.group_norm import cosine_transform
from aves_convert.graph_files.constants import GraphConstant, graph_constants
from aves_verify.comparison.weights import WeightSearch, rounded

Floats = NDArray[np.float32]

_MOST_TOLD = 20
_AXES = 4
_BLOCKS = (4, 8, 16)  # channels; ONNX Runtime's kernels take these
_PLACES = 64  # where a block may begin: tried are so many, of which one is right unless values repeat
# A weight norm is folded with one division and one product of each value: three roundings, of half an epsilon each.
_FOLDED = 2.0**-22
_NORM = (".weight_g", ".weight_v")
_FIRST_CONVOLUTION = "feature_extractor.conv_layers.0.conv.weight"


def onnx_weights(original: Mapping[str, Floats], path: Path) -> WeightSearch:
    """Seek every weight of a state dict in an ONNX file. Raises InputError for a file that cannot be read."""
    found = search_weights(original, graph_constants(path))
    told, left = cut_off([f"onnx: {path}: {problem}" for problem in found.problems], _MOST_TOLD)
    if left:
        told = [*told, f"onnx: {path}: and {left} more weights that are not the original's"]
    return replace(found, problems=tuple(told))


def search_weights(original: Mapping[str, Floats], constants: Iterable[GraphConstant]) -> WeightSearch:
    """Seek every weight of a state dict, with ``weight_g``/``weight_v``, among a graph's constants.

    A weight that is there and not read, or in whose place stands another value of its shape, is a problem. One that is
    simply not there is told; where the graph keeps the state dict's names, as ours do, that is a problem too.
    """
    return _Search(original, constants).result()


class _Search:
    def __init__(self, original: Mapping[str, Floats], constants: Iterable[GraphConstant]) -> None:
        self.original = original
        self.constants = [_as_float32(constant) for constant in constants]
        self.by_content: dict[tuple[int, int], list[GraphConstant]] = defaultdict(list)
        for constant in self.constants:
            self.by_content[_content(constant.values)].append(constant)
        self.places: dict[str, list[GraphConstant]] = {}  # weight -> constants that hold it
        self.taken: set[int] = set()  # constants that hold something of the original
        self.joined: dict[int, NDArray[np.bool_]] = {}  # of those that hold parts: where there is one
        self.whole: set[int] = set()  # and those that are a weight, no part of which is another

    def result(self) -> WeightSearch:
        for name, values in self.original.items():
            self._keep(name, self._whole(values))
        self.whole = set(self.taken)
        folded = {*self._folded(), *self._in_basis()}
        for name, values in self.original.items():
            if not self._is_read(name) and name not in folded:
                self._keep(name, (*self.places[name], *self._blocks(name, values)))
        there = folded | {name for name, where in self.places.items() if where}
        unread = [name for name in there - folded if not self._is_read(name)]
        problems = dict.fromkeys(unread, "is in the file, and nothing that leads to an output reads it")
        problems |= {name: told for name, told in self._shared() if name not in problems}
        missing = []
        for name in (name for name in self.original if name not in there):
            told = self._instead(name)
            if told or (self._keeps_names and not _is_uniform(self.original[name])):
                problems[name] = f"is not in the graph{told}"
            else:
                missing.append(name)
        told_all = tuple(f"{name} {problems[name]}" for name in self.original if name in problems)
        return WeightSearch(len(self.original), len(there - problems.keys()), tuple(missing), told_all)

    @property
    def _keeps_names(self) -> bool:
        """Whether the graph has the state dict's own names, most of them."""
        names = {constant.name for constant in self.constants}
        return 2 * len(self.original.keys() & names) > len(self.original)

    def _is_read(self, name: str) -> bool:
        """Whether something reads it where it was found so far: what is left over beside it does no harm."""
        return any(constant.readers for constant in self.places[name])

    def _keep(self, name: str, where: Iterable[GraphConstant]) -> None:
        self.places[name] = list(where)
        self.taken |= {id(constant) for constant in self.places[name]}

    def _whole(self, values: Floats) -> Iterator[GraphConstant]:
        """Constants that are this weight, with its axes in any order and any shape."""
        for constant in self.by_content.get(_content(values), ()):
            if constant.values.dtype == np.float32 and _is_rearranged(constant.values, values):
                yield constant

    def _blocks(self, name: str, values: Floats) -> Iterator[GraphConstant]:
        """Constants of which this weight is a rectangular part: joined with others, or padded.

        Equal values are a part of anything; they must be in a constant of the weight's name.
        """
        wanted, uniform = np.squeeze(values), _is_uniform(values)
        for constant in self.constants:
            held = np.squeeze(constant.values)
            fits = id(constant) not in self.whole and wanted.size < held.size and wanted.ndim <= held.ndim <= _AXES
            if not fits or (uniform and name not in constant.name):
                continue
            block = wanted.reshape(wanted.shape + (1,) * (held.ndim - wanted.ndim))
            for order in itertools.permutations(range(held.ndim)):
                place = _block_at(held.transpose(order), block)
                if place is not None:
                    known = self.joined.setdefault(id(constant), np.zeros(held.shape, np.bool_))
                    known.transpose(order)[place] = True
                    yield constant
                    break

    def _folded(self) -> Iterator[str]:
        """Both parts of a weight norm, where the graph has what they make, and reads it."""
        for name in self.original:
            stem = name.removesuffix(_NORM[0])
            if stem == name or (self._is_read(name) and self._is_read(stem + _NORM[1])):
                continue
            g, v = (self.original[stem + part].astype(np.float64) for part in _NORM)
            wanted = v * (g / np.sqrt((v * v).sum(axis=(0, 1), keepdims=True)))
            for constant in self.constants:
                same_shape = np.squeeze(constant.values).shape == np.squeeze(wanted).shape
                if same_shape and _is_fold(constant.values.reshape(wanted.shape), wanted):
                    self.taken.add(id(constant))
                    if constant.readers:
                        yield from (stem + part for part in _NORM)

    def _in_basis(self) -> Iterator[str]:
        """The first convolution's weight, where the graph has it in the basis of a transform, and reads both."""
        values = self.original.get(_FIRST_CONVOLUTION)
        if values is None or self._is_read(_FIRST_CONVOLUTION):
            return
        channels, _, kernel = values.shape
        basis = cosine_transform(kernel)
        bases = [constant for constant in self._whole(basis[:, None]) if constant.readers]
        for constant in self.constants if bases else []:
            held = np.squeeze(constant.values)
            if held.shape == (channels, kernel + 1) and _is_product(held[:, :-1], basis, values[:, 0]):
                self.taken |= {id(constant), *map(id, bases)}
                if constant.readers:
                    yield _FIRST_CONVOLUTION

    def _shared(self) -> Iterator[tuple[str, str]]:
        """Weights that are equal to others, where all of them together are read too seldom."""
        groups: dict[bytes, list[str]] = defaultdict(list)
        for name, where in self.places.items():
            if where:
                values = np.ascontiguousarray(self.original[name])
                groups[repr(values.shape).encode() + values.tobytes()[:4096]].append(name)
        for names in groups.values():
            same = [name for name in names if np.array_equal(self.original[name], self.original[names[0]])]
            readers = sum(constant.readers for constant in self.places[names[0]])
            if len(same) > 1 and 0 < readers < len(same):
                equal = f"{len(same)} weights of the original are equal to it, and {readers} are used"
                yield same[-1], f"is used too seldom: {equal}"

    def _instead(self, name: str) -> str:
        """What stands in a weight's place; empty where nothing of its shape is left that belongs to no other weight."""
        values = self.original[name]
        if _is_uniform(values):
            return ""  # adding zeros and multiplying by ones may be left out
        shape = sorted(np.squeeze(values).shape)
        free = (c for c in self.constants if c.readers and id(c) not in self.taken)
        left = [c for c in (*free, *self._rests) if sorted(np.squeeze(c.values).shape) == shape]
        named = [c for c in left if _bare(c.name) == name]
        nearest = min(named or left, key=lambda constant: _distance(constant.values, values), default=None)
        if nearest is None or _is_scaled(nearest.values, values):
            return ""
        size, largest = _distance(nearest.values, values), float(np.abs(values).max())
        told = f"differs by up to {size:.2e} where its largest value is {largest:.2e}"
        return f": {printable(nearest.name)} in its place {told}" + rounded(
            np.squeeze(nearest.values), np.squeeze(values)
        )

    @cached_property
    def _rests(self) -> list[GraphConstant]:
        """Of what several weights are joined in, the part that is none of them, where that is a block."""
        found = []
        for constant in self.constants:
            known = self.joined.get(id(constant))
            if known is None or not constant.readers or known.all():
                continue
            axes = range(known.ndim)
            places = [np.flatnonzero(~known.all(axis=tuple(a for a in axes if a != axis))) for axis in axes]
            box = tuple(slice(int(place[0]), int(place[-1]) + 1) for place in places)
            if not known[box].any():
                found.append(replace(constant, values=np.squeeze(constant.values)[box]))
        return found


_PREFIXES = ("model.", "module.", "_orig_mod.")


def _bare(name: str) -> str:
    """A name without what exporters put in front."""
    while prefix := next((p for p in _PREFIXES if name.startswith(p)), ""):
        name = name.removeprefix(prefix)
    return name


def _as_float32(constant: GraphConstant) -> GraphConstant:
    """Values that float32 holds as they are, as such: float64 in a graph is often nothing but wider."""
    if constant.values.dtype != np.float64:
        return constant
    with np.errstate(over="ignore"):
        narrow = constant.values.astype(np.float32)
    same = np.array_equal(narrow.astype(np.float64), constant.values)
    return GraphConstant(constant.name, narrow, constant.readers) if same else constant


def _content(values: NDArray[np.generic]) -> tuple[int, int]:
    """The sum and the parity of all bits, which neither another order nor zeros beside them change."""
    if values.dtype != np.float32:
        return -1, -1
    bits = np.ascontiguousarray(values).reshape(-1).view(np.uint32)
    return int(bits.sum(dtype=np.uint64)), int(np.bitwise_xor.reduce(bits))


def _is_rearranged(held: NDArray[np.generic], wanted: Floats) -> bool:
    """Whether a constant has these values in the order of some order of the axes, or in blocks of channels."""
    bits = np.ascontiguousarray(held).reshape(-1).view(np.uint32)
    views = (view for view in _views(wanted) if view.size == held.size)
    return any(np.array_equal(bits, np.ascontiguousarray(view).reshape(-1).view(np.uint32)) for view in views)


def _views(values: Floats) -> Iterator[NDArray[np.generic]]:
    """A weight with its axes in every order; of a convolution also with channels in blocks, as kernels like it."""
    squeezed = np.squeeze(values)
    if squeezed.ndim > _AXES:
        return
    yield from (squeezed.transpose(order) for order in itertools.permutations(range(squeezed.ndim)))
    for block in _BLOCKS if values.ndim == 3 else ():
        for inner in (block, 1):  # a single channel that comes in is no block
            rows, columns, kernel = values.shape
            full = np.pad(values, ((0, -rows % block), (0, -columns % inner), (0, 0)))
            split = full.reshape(full.shape[0] // block, block, full.shape[1] // inner, inner, kernel)
            yield from (split.transpose(order) for order in itertools.permutations(range(split.ndim)))


def _block_at(held: NDArray[np.generic], wanted: Floats) -> tuple[slice, ...] | None:
    """Where ``wanted`` is a rectangular part of ``held``, found by its largest element; None where it is none."""
    if any(have < want for have, want in zip(held.shape, wanted.shape, strict=True)):
        return None
    at = np.unravel_index(int(np.abs(wanted).argmax()), wanted.shape)
    for place in np.argwhere(held == wanted[at])[:_PLACES]:
        begin = [int(p - a) for p, a in zip(place, at, strict=True)]
        block = tuple(slice(b, b + size) for b, size in zip(begin, wanted.shape, strict=True))
        if min(begin) >= 0 and held[block].shape == wanted.shape and np.array_equal(held[block], wanted):
            return block
    return None


def _is_fold(held: NDArray[np.generic], wanted: NDArray[np.float64]) -> bool:
    """Whether a constant is a folded weight [channels, channels, kernel], whose norms somebody summed in float32.

    That sum is over both channels, so its error is a factor of each place of the kernel. Summed one after the other, n
    numbers lose about sqrt(n) halves of an epsilon: Higham, Accuracy and Stability of Numerical Algorithms, 4.2.
    """
    values = held.astype(np.float64)
    power = (wanted * wanted).sum(axis=(0, 1))
    factor = np.divide((values * wanted).sum(axis=(0, 1)), power, out=np.ones_like(power), where=power > 0)
    summed = wanted.shape[0] * wanted.shape[1]
    is_norm = np.abs(factor - 1).max() <= np.sqrt(summed) * 2.0**-24 + _FOLDED
    return bool(is_norm and np.abs(values - factor * wanted).max() <= _FOLDED * np.abs(wanted).max())


def _is_product(held: NDArray[np.generic], basis: Floats, wanted: Floats) -> bool:
    """Whether kernels [channels, size] are the original's once the transform is taken back.

    Each entry is rounded by half an epsilon, and in the sum of ``size`` of them, which no error enters twice, errors
    add up like independent ones: Higham, as above.
    """
    error = np.abs(held.astype(np.float64) @ basis.astype(np.float64) - wanted)
    return bool((error <= 3 * 2.0**-24 * np.linalg.norm(wanted.astype(np.float64), axis=1, keepdims=True)).all())


def _is_uniform(values: NDArray[np.generic]) -> bool:
    return bool((values == values.flat[0]).all())


def _arranged(held: NDArray[np.generic], wanted: Floats) -> Iterator[NDArray[np.float64]]:
    squeezed = np.squeeze(held).astype(np.float64)
    for order in itertools.permutations(range(squeezed.ndim)):
        if squeezed.transpose(order).shape == np.squeeze(wanted).shape:
            yield squeezed.transpose(order)


def _distance(held: NDArray[np.generic], wanted: Floats) -> float:
    return min(float(np.abs(view - np.squeeze(wanted)).max()) for view in _arranged(held, wanted))


def _is_scaled(held: NDArray[np.generic], wanted: Floats) -> bool:
    """Whether a constant is the weight times one number, as where an export folds the attention's scale into it."""
    exact = np.squeeze(wanted).astype(np.float64)
    for view in _arranged(held, wanted):
        factor = float((view * exact).sum() / (exact * exact).sum())
        if factor and np.abs(view - factor * exact).max() <= 1e-6 * np.abs(view).max() and abs(factor - 1) > 1e-3:
            return True
    return False
