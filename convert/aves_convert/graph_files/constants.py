"""Finding every floating-point constant of an ONNX file, wherever it stands, and how often it is used.

Constants are initializers, Constant nodes, and what nodes make of constants alone (transposed, sliced, cast); local
functions are written out where they are called, and the bodies of If, Loop and Scan count as their node's. Shapes are
left out: only tensors of at least one axis in a floating-point type can be weights.
"""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import SparseTensorProto, TensorProto, helper

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line, printable
from aves_convert.graph_files.weights import bytes_of_files

Tensor = TensorProto | SparseTensorProto

# What moves values and leaves them as they are: who reads its output reads the constant.
_MOVING = frozenset({"Identity", "Cast", "Transpose", "Unsqueeze", "Squeeze", "Reshape", "Flatten", "DequantizeLinear"})
_MOVED = 8  # times in a row
_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
_QUANTISED = (*_FLOATS, TensorProto.INT8, TensorProto.UINT8)
_MOST_NODES, _MOST_DEPTH = 1_000_000, 100
_MOST_BYTES, _COPIES = 256 << 20, 8  # of all constants, beside so many times those of the files


@dataclass(frozen=True, eq=False)
class GraphConstant:
    """One constant of a graph; ``readers`` counts the inputs of nodes on a path to an output that it is given to."""

    name: str
    values: NDArray[Any]
    readers: int


def graph_constants(path: Path, *, quantised: bool = False) -> Iterator[GraphConstant]:
    """Find every floating-point constant with an axis. Raises InputError for a file damaged or without weights.

    ``quantised``: also whole numbers of eight bits, and numbers without an axis, which may be their scales.
    """
    kinds = _QUANTISED if quantised else _FLOATS
    try:
        model = onnx.load(path, load_external_data=False)
        if model.functions:
            from onnx import inliner  # onnx has it from 1.15 on; no older exporter wrote functions

            _refuse_explosion(model)
            model = inliner.inline_local_functions(model)
        nodes = list(_nodes(model.graph))
        read = _readers(model.graph)
        left = _MOST_BYTES + _COPIES * bytes_of_files(path)
        for name, tensor in _tensors(model.graph, nodes):
            stored = tensor.values if isinstance(tensor, SparseTensorProto) else tensor
            if stored.data_type not in kinds or not (tensor.dims or quantised):
                continue
            left -= max(0, math.prod(tensor.dims)) * helper.tensor_dtype_to_np_dtype(stored.data_type).itemsize
            if left < 0:
                raise ValueError("its constants take many times more bytes than its files have")
            yield GraphConstant(name, _values(tensor, path), read[name])
    except (OSError, ValueError, TypeError, RuntimeError, DecodeError, onnx.checker.ValidationError) as error:
        raise InputError(
            f"{path}: its constants cannot be read ({first_line(error)}); fetch or convert it again"
        ) from None


def _refuse_explosion(model: onnx.ModelProto) -> None:
    """Raise ValueError where writing functions out, which call functions that call functions, makes too many nodes."""
    functions = {(function.domain, function.name): function for function in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def size(nodes: Iterable[onnx.NodeProto], depth: int) -> int:
        if depth > _MOST_DEPTH:
            raise ValueError("its functions call each other without end")
        total = 0
        for node in nodes:
            called = (node.domain, node.op_type)
            if called in functions:
                if called not in sizes:
                    sizes[called] = size(functions[called].node, depth + 1)
                total += sizes[called]
            total += 1 + sum(size(body.node, depth + 1) for body in _bodies(node))
        return total

    written_out = size(model.graph.node, 0)
    if written_out > _MOST_NODES:
        raise ValueError(f"its functions make {written_out:.3g} nodes when they are written out")


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those of bodies too."""
    for node in graph.node:
        yield node
        for body in _bodies(node):
            yield from _nodes(body)


def _bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def _readers(graph: onnx.GraphProto) -> Mapping[str, int]:
    """How many inputs of nodes on a path to the graph's outputs read each value, through what only moves it."""
    reads: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    _follow(graph, reads)
    outputs = {output.name for output in graph.output}

    @cache
    def count(name: str, depth: int = 0) -> int:
        total = int(name in outputs)
        for node in reads.get(name, ()):
            moved = node.op_type in _MOVING and name == node.input[0] and depth < _MOVED
            total += count(node.output[0], depth + 1) if moved else 1
        return total

    return defaultdict(int, {name: count(name) for name in list(reads)})


def _follow(graph: onnx.GraphProto, reads: dict[str, list[onnx.NodeProto]]) -> set[str]:
    """Note who reads what on the way to a graph's outputs; return the names that come from the graph around it."""
    maker = {output: node for node in graph.node for output in node.output if output}
    todo, seen, followed = [output.name for output in graph.output], set[str](), set[int]()
    while todo:
        name = todo.pop()
        seen.add(name)
        node = maker.get(name)
        if node is None or id(node) in followed:
            continue
        followed.add(id(node))
        for given in node.input:
            reads[given].append(node)
        todo += node.input
        for body in _bodies(node):
            todo += _follow(body, reads)
    return seen - maker.keys()


def _tensors(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> Iterator[tuple[str, Tensor]]:
    graphs = [graph, *(body for node in nodes for body in _bodies(node))]
    for each in graphs:
        yield from ((tensor.name, tensor) for tensor in each.initializer)
        yield from ((tensor.values.name, tensor) for tensor in each.sparse_initializer)
    for node in nodes:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    yield node.output[0], attribute.t
                elif attribute.name == "sparse_value":
                    yield node.output[0], attribute.sparse_tensor
                elif attribute.name == "value_floats":
                    yield node.output[0], onnx.numpy_helper.from_array(np.asarray(attribute.floats, np.float32))


def _values(tensor: Tensor, path: Path) -> NDArray[Any]:
    """Its values, read-only where the file has them as they are; of a sparse one with the zeros between them."""
    if isinstance(tensor, SparseTensorProto):
        values, places = _values(tensor.values, path), _values(tensor.indices, path)
        dense = np.zeros(tuple(tensor.dims), values.dtype)
        if places.ndim == 2:  # a row of indices for each value
            places = np.ravel_multi_index(tuple(places.T), dense.shape)
        if places.shape != values.shape or not ((places >= 0) & (places < dense.size)).all():
            raise ValueError(f"{printable(tensor.values.name)} has values that are not in it")
        dense.reshape(-1)[places] = values
        return dense
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of entries that onnx does not know
        return onnx.numpy_helper.to_array(tensor, base_dir=str(path.parent))
