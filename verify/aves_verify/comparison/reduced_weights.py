"""Searching a smaller graph for every weight of the original, as it is or rounded to what few bits hold.

A weight in half precision must be the original's, rounded once. One in eight bits must be off by no more than half a
step of the scale that the graph has for it: so whoever rounds may choose the scale, and none may be wrong.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.messages import cut_off, printable
from aves_convert.graph.builder import in_half
from aves_convert.graph.transformer import folded_weight_norm
from aves_convert.graph_files.constants import GraphConstant, graph_constants
from aves_convert.graph_files.weighted import LARGEST_INSIDE
from aves_verify.comparison.weight_search import search_weights
from aves_verify.comparison.weights import WeightSearch

Floats = NDArray[np.float32]

_HALF = (np.dtype(np.float16),)
_NORM = (".weight_g", ".weight_v")
_SAMPLE = 64  # rows and columns, by which a weight in eight bits is known before all of it is looked at
_ALIKE = 0.99  # cosine of their rows with the original's; of another weight's it is near zero
_ROUNDED = 0.5 + 0.01  # steps that rounding moves a weight at most
_MOST_TOLD = 20


@dataclass(frozen=True)
class ReducedWeights:
    """What became of the original's weights in a smaller graph; ``kinds`` tells of those that were rounded how."""

    search: WeightSearch
    kinds: Mapping[str, str]  # weight -> "float16" or "int8"; others are as they were
    values: Mapping[str, Floats]  # what the graph has in the place of these


@dataclass(frozen=True)
class Said:
    """How a manifest, or a graph of ours itself, says that its weights lie: the options that wrote it."""

    precision: str
    weights: str
    wide: tuple[str, ...]

    def kind_of(self, name: str, weight: Floats, products: Collection[str]) -> str:
        """What a large weight is stored in, by what is said."""
        module = name.removesuffix(".weight")
        if self.precision == "int8" and module in products and module not in self.wide:
            return "int8"
        halved = "float16" in (self.weights, self.precision)
        return "float16" if halved and in_half(weight) is not None else "float32"


def reduced_weights(original: Mapping[str, Floats], path: Path, port: str, said: Said | None) -> ReducedWeights:
    """Seek every weight of a state dict in a smaller graph. Raises InputError for a file that cannot be read.

    ``said``: how they are said to lie; None where nobody says so. ``port``: the name that problems begin with.
    """
    constants = list(graph_constants(path, quantised=True))
    floats = [each for each in constants if each.values.dtype.kind not in "iu" and each.values.ndim]
    halves = [each for each in floats if each.values.dtype in _HALF]
    kinds: dict[str, str] = {}
    values: dict[str, Floats] = {}
    expected = dict(original)
    for name, rounded in _in_half(original, halves):
        kinds[name], values[name] = "float16", rounded
        if name in expected:
            expected[name] = rounded
    folded = [name for name in values if name not in expected]  # what both parts of a weight norm make
    eight = [each for each in constants if each.values.dtype.kind in "iu" and each.values.ndim]
    problems: list[str] = []
    for name, constant in _in_eight_bits({n: w for n, w in original.items() if n not in kinds}, eight):
        kinds[name] = "int8"
        scaled, problem = _scaled_back(name, original[name], constant, constants)
        values[name] = scaled
        problems += [problem] if problem else []
        del expected[name]
    for name in folded:
        for part in _NORM:
            del expected[name.removesuffix(".weight") + part]
    widened = [replace(each, values=each.values.astype(np.float32)) if each in halves else each for each in floats]
    found = search_weights(expected, widened)
    gone = len(original) - len(expected)
    problems += [*found.problems, *_otherwise(kinds, said, original)]
    shown, left = cut_off([f"{port}: {path}: {problem}" for problem in problems], _MOST_TOLD)
    told = [*shown, *([f"{port}: {path}: and {left} more weights that are not the original's"] if left else [])]
    search = WeightSearch(len(original), found.found + gone, found.missing, tuple(told), Counter(kinds.values()))
    return ReducedWeights(search, kinds, values)


def _in_half(original: Mapping[str, Floats], halves: Sequence[GraphConstant]) -> Iterator[tuple[str, Floats]]:
    """Weights that a constant in half precision is the rounded value of, and that value in float32.

    Both parts of a weight norm are one weight, under its module's name.
    """
    by_bits: dict[tuple[int, int], list[GraphConstant]] = {}
    for constant in halves:
        if constant.readers:
            by_bits.setdefault((constant.values.size, _bits(constant.values)), []).append(constant)
    for name, weight in (*original.items(), *_folded(original)):
        with np.errstate(over="ignore", invalid="ignore"):
            half = weight.astype(np.float16)
        for constant in by_bits.get((half.size, _bits(half)), ()):
            if any(np.array_equal(view, np.squeeze(half)) for view in _turned(constant.values)):
                yield name, half.astype(np.float32)
                break


def _folded(original: Mapping[str, Floats]) -> Iterator[tuple[str, Floats]]:
    for name, length in original.items():
        stem = name.removesuffix(_NORM[0])
        if stem != name:
            yield f"{stem}.weight", folded_weight_norm(length, original[stem + _NORM[1]])


def _bits(values: NDArray[Any]) -> int:
    """The sum of all bits, which no order of the axes changes."""
    return int(np.ascontiguousarray(values).reshape(-1).view(np.uint16).sum(dtype=np.uint64))


def _turned(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    squeezed = np.squeeze(values)
    yield from (squeezed.transpose(order) for order in itertools.permutations(range(squeezed.ndim)))


def _in_eight_bits(
    original: Mapping[str, Floats], constants: Sequence[GraphConstant]
) -> Iterator[tuple[str, GraphConstant]]:
    """Matrices, and the constants of whole numbers that stand for them and are read, turned to their layout.

    That is the one of the weight's name, or where there is none, the one that is most like it.
    """
    left = [each for each in constants if each.readers and each.values.ndim == 2]
    for name, weight in original.items():
        if weight.ndim != 2:
            continue
        views = [(each, view) for each in left for view in (each.values.T, each.values) if view.shape == weight.shape]
        named = [(each, view) for each, view in views if each.name == name]
        found = next(iter(named or ((each, view) for each, view in views if _alike(view, weight) > _ALIKE)), None)
        if found is not None:
            constant, view = found
            left.remove(constant)
            yield name, replace(constant, values=view)


def _alike(whole: NDArray[Any], exact: Floats) -> float:
    """The median cosine of a row with the original's: each may have a scale and a zero of its own.

    On the rows and columns in which the original has most: others may be constant, and tell nothing.
    """
    power = np.square(exact.astype(np.float64))
    rows, columns = (np.sort(np.argsort(-power.sum(axis=axis), kind="stable")[:_SAMPLE]) for axis in (1, 0))
    one, other = (each[np.ix_(rows, columns)].astype(np.float64) for each in (whole, exact))
    one, other = (each - each.mean(axis=1, keepdims=True) for each in (one, other))
    size = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    told = size > 0
    return float(np.median((one * other).sum(axis=1)[told] / size[told])) if told.any() else 0.0


def _scaled_back(
    name: str, weight: Floats, constant: GraphConstant, constants: Sequence[GraphConstant]
) -> tuple[Floats, str]:
    """The weight that these whole numbers stand for, and what is wrong with it; empty where nothing is.

    Their zero is where the original's is; their scale is the constant that is nearest to what the original asks for.
    """
    whole, exact = constant.values.astype(np.float64), weight.astype(np.float64)
    zero = 0.0 if constant.values.dtype == np.int8 else _zero(whole, exact)
    whole = whole - zero
    power = (whole * whole).sum(axis=1)
    wanted = np.divide((whole * exact).sum(axis=1), power, out=np.zeros_like(power), where=power > 0)
    scales = [
        np.broadcast_to(each.values.reshape(-1).astype(np.float64), wanted.shape)
        for each in constants
        if each.values.dtype == np.float32 and each.values.size in (1, len(wanted))
    ]
    scale = min(scales, key=lambda each: float(np.abs(each - wanted).max()), default=wanted)
    value = whole * scale[:, None]
    off = float((np.abs(value - exact) / np.maximum(np.abs(scale), 1e-30)[:, None]).max())
    problem = ""
    if not off <= _ROUNDED:
        problem = (
            f"{name} in eight bits is off by up to {off:.3g} steps of its scale, where rounding moves it by half a step"
        )
    return value.astype(np.float32), problem


def _zero(whole: NDArray[np.float64], exact: NDArray[np.float64]) -> float:
    """The whole number that stands for zero: where a line through both meets it."""
    slope = whole.std() / max(exact.std(), 1e-30)
    return float(np.round(whole.mean() - slope * exact.mean()))


def _otherwise(kinds: Mapping[str, str], said: Said | None, original: Mapping[str, Floats]) -> Iterator[str]:
    """Weights that lie otherwise than is said of them, and products that are said to be wide and are not there."""
    if said is None:
        return
    products = [name.removesuffix(".weight") for name in original if ".layers." in name and original[name].ndim == 2]
    yield from (
        f"{printable(name)} is said to be wide, and there is no such product"
        for name in said.wide
        if name not in products
    )
    for name, weight in _large(original):
        told, found = said.kind_of(name, weight, products), kinds.get(name, "float32")
        if told != found:
            yield f"{name} is in {found}, and is said to be in {told}"


def _large(original: Mapping[str, Floats]) -> Iterator[tuple[str, Floats]]:
    """The encoder's weights that our graphs store in few bits, where they are asked to; folded as they are there.

    Not the first convolution's where a group norm follows: there it is part of other numbers.
    """
    grouped = "feature_extractor.conv_layers.1.layer_norm.weight" not in original
    for name, weight in (*original.items(), *_folded(original)):
        first = grouped and name == "feature_extractor.conv_layers.0.conv.weight"
        ours = name.startswith(("feature_extractor.", "encoder.", "aux.")) and not name.endswith(_NORM)
        if ours and not first and weight.ndim > 1 and weight.size > LARGEST_INSIDE:
            yield name, weight
