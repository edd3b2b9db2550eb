"""What an ONNX graph computes on its way: every value of a graph of any origin, read by making it an output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from aves_artifacts.base.messages import first_line, size_text
from aves_verify.backends.backend import RunError, with_axes

Array = NDArray[Any]

# Bytes of values on all waveforms. A base encoder on two times half a second, widened weights among them: 164 million.
_MOST = 4_000_000_000
_NARROW = ("float16", "bfloat16", "float8", "float4")  # kinds of numbers, as ONNX Runtime calls them


@dataclass(frozen=True)
class Values:
    """A graph's values on one waveform, by their names."""

    arrays: Mapping[str, Array]  # with the graph's input; without what numpy has no kind of numbers for
    narrow: Mapping[str, str]  # values in floating-point numbers narrower than float32, and their kind


@dataclass(frozen=True)
class Traced:
    """A graph with functions of its own written out, and what it computes on its way."""

    graph: onnx.GraphProto  # the nodes on a path to the outputs, without weights
    opset: Mapping[str, int]
    outputs: tuple[str, ...]
    entry: str  # the name of its input
    values: tuple[Values, ...]  # on each waveform

    @property
    def nodes(self) -> Sequence[onnx.NodeProto]:
        """In the order in which they are computed."""
        return list(self.graph.node)


def traced(path: Path, *waveforms: NDArray[np.float32]) -> Traced:
    """Run a graph on waveforms [batch, samples] with each of its values as an output.

    ONNX Runtime merges less than usual then: the values are those of the graph as it is written. Foreign files are not
    to be trusted with this process: ``OnnxBackend.apart`` calls it in another. Raises RunError where it cannot be run.
    """
    try:
        graph, opset, outputs, session = _with_all_outputs(path)
        values = [_values(session, waveform) for waveform in waveforms]
    except Exception as error:  # ONNX Runtime's exceptions have no common base but Exception, nor have onnx's
        raise RunError(f"{path}: ONNX Runtime does not run it: {first_line(error)}") from None
    if sum(array.nbytes for each in values for array in each.arrays.values()) > _MOST:
        raise RunError(f"{path}: what it computes on its way takes more than {size_text(_MOST)}")
    values[1:] = (_sharing(each, values[0].arrays) for each in values[1:])
    return Traced(graph, opset, outputs, session.get_inputs()[0].name, tuple(values))


def _with_all_outputs(
    path: Path,
) -> tuple[onnx.GraphProto, dict[str, int], tuple[str, ...], onnxruntime.InferenceSession]:
    """The used nodes, the opset, the outputs, and a session that gives what every one of these nodes computes."""
    data = path.read_bytes()
    model = onnx.load_from_string(data)
    if model.functions:
        from onnx import inliner  # onnx has it from 1.15 on; no older exporter wrote functions

        model = inliner.inline_local_functions(model)
        data = model.SerializeToString()
    graph = onnx.GraphProto(node=used_nodes(model.graph))
    outputs = tuple(output.name for output in model.graph.output)
    known = {*outputs, *(value.name for value in model.graph.input)}
    opset = {entry.domain: entry.version for entry in model.opset_import}
    del model  # the weights lie in memory often enough
    more = onnx.ModelProto()
    more.graph.output.extend(
        onnx.ValueInfoProto(name=name) for node in graph.node for name in node.output if name and name not in known
    )
    # Protocol buffers add up: a file and outputs behind it are the graph with these outputs too.
    data += more.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return graph, opset, outputs, session


def _sharing(values: Values, first: Mapping[str, Array]) -> Values:
    """The same, with the very arrays of the first waveform where they are equal: weights that are widened or turned."""

    def shared(name: str, array: Array) -> Array:
        other = first.get(name)
        same = other is not None and other.dtype == array.dtype and np.array_equal(other, array)
        return other if other is not None and same else array

    return Values({name: shared(name, array) for name, array in values.arrays.items()}, values.narrow)


def _values(session: onnxruntime.InferenceSession, waveform: NDArray[np.float32]) -> Values:
    entry = session.get_inputs()[0].name
    axes = len(session.get_inputs()[0].shape)
    given = {entry: onnxruntime.OrtValue.ortvalue_from_numpy(with_axes(waveform, axes))}
    found = session.run_with_ort_values(None, given)
    arrays: dict[str, Array] = {entry: waveform}
    narrow: dict[str, str] = {}
    for output, value in zip(session.get_outputs(), found, strict=True):
        kind = value.data_type().removeprefix("tensor(").removesuffix(")")
        if kind.startswith(_NARROW):
            narrow[output.name] = kind
        if value.has_value() and value.is_tensor() and (kind == "float16" or not kind.startswith(_NARROW)):
            arrays[output.name] = value.numpy()
    return Values(arrays, narrow)


def used_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes on a path to the graph's outputs, in the order in which they are computed."""
    needed = {output.name for output in graph.output}
    used = []
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            used.append(node)
            needed |= read_by(node)
    return used[::-1]


def inner_graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs inside a node: branches of a condition, the body of a loop."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def read_by(node: onnx.NodeProto) -> set[str]:
    """Names that a node reads, also from within the graphs inside it."""
    names = set(node.input)
    for graph in inner_graphs(node):
        names.update(output.name for output in graph.output)
        names = names.union(*map(read_by, graph.node))
    return names
