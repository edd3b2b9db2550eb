"""What an ONNX graph computes on its way: every value of a graph of any origin, read by making it an output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import inliner, numpy_helper

from aves_artifacts.base.messages import first_line
from aves_verify.backends.backend import RunError

Array = NDArray[Any]
_Answer = TypeVar("_Answer")

_NARROW = ("float16", "bfloat16", "float8", "float4")  # kinds of numbers, as ONNX Runtime calls them


@dataclass(frozen=True)
class Values:
    """A graph's values on one waveform, by their names."""

    arrays: Mapping[str, Array]  # with the graph's input; without what numpy has no kind of numbers for
    narrow: Mapping[str, str]  # values in floating-point numbers narrower than float32, and their kind


class TracedGraph:
    """A graph in ONNX Runtime with each of its values as an output; functions of its own are written out.

    ONNX Runtime merges less than usual then: the values are those of the graph as it is written.
    """

    def __init__(self, path: Path) -> None:
        """Raise RunError where ONNX Runtime does not load it."""
        self.path = path
        model = onnx.load(str(path), load_external_data=False)
        inlined = bool(model.functions)
        if inlined:
            model = inliner.inline_local_functions(model)
        self.graph: onnx.GraphProto = model.graph
        self.opset: dict[str, int] = {entry.domain: entry.version for entry in model.opset_import}
        self.outputs = tuple(output.name for output in model.graph.output)
        self.entry = model.graph.input[0].name if model.graph.input else ""
        self.nodes = used_nodes(model.graph)
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        more = onnx.ModelProto()
        more.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self._inner())
        # Protocol buffers add up: a file and outputs behind it are the graph with these outputs too.
        data = (model.SerializeToString() if inlined else path.read_bytes()) + more.SerializeToString()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
        self._session = self._answered(
            lambda: onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        )

    def _inner(self) -> Iterator[str]:
        known = {*self.outputs, *(value.name for value in self.graph.input)}
        yield from (name for node in self.nodes for name in node.output if name and name not in known)

    def values(self, waveform: NDArray[np.float32]) -> Values:
        """Every value on a waveform [batch, samples]. Raises RunError where it cannot be run."""
        entry = self._session.get_inputs()[0].name  # not the first of the graph, where weights are inputs too
        given = {entry: onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(waveform))}
        found = self._answered(lambda: self._session.run_with_ort_values(None, given))
        arrays: dict[str, Array] = {entry: waveform}
        narrow: dict[str, str] = {}
        for output, value in zip(self._session.get_outputs(), found, strict=True):
            kind = value.data_type().removeprefix("tensor(").removesuffix(")")
            if kind.startswith(_NARROW):
                narrow[output.name] = kind
            if value.has_value() and value.is_tensor() and (kind == "float16" or not kind.startswith(_NARROW)):
                arrays[output.name] = value.numpy()
        return Values(arrays, narrow)

    def weight(self, name: str) -> Array | None:
        """An initializer by its name, None where there is none; raises ValueError for one that cannot be read."""
        tensor = self._weights.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor, str(self.path.parent))

    def _answered(self, ask: Callable[[], _Answer]) -> _Answer:
        try:
            return ask()
        except Exception as error:  # ONNX Runtime's exceptions have no common base but Exception
            raise RunError(f"{self.path}: ONNX Runtime does not run it: {first_line(error)}") from None


def used_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes on a path to the graph's outputs, in the order in which they are computed."""
    needed = {output.name for output in graph.output}
    used = []
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            used.append(node)
            needed |= _read_by(node)
    return used[::-1]


def inner_graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs inside a node: branches of a condition, the body of a loop."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _read_by(node: onnx.NodeProto) -> set[str]:
    """Names that a node reads, also from within the graphs inside it."""
    names = set(node.input)
    for graph in inner_graphs(node):
        names.update(output.name for output in graph.output)
        names = names.union(*map(_read_by, graph.node))
    return names
