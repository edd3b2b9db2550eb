"""Checking a bundle's ONNX graph: onnx accepts it, and it is what the manifest says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aves_artifacts.base.messages import first_line, listed, quoted
from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.bundle.graph_contract import WAVEFORM, is_waveform, stated
from aves_artifacts.bundle.manifest import GraphRecord, Manifest, Role
from aves_artifacts.bundle.outputs import EMBEDDINGS, is_layer
from aves_artifacts.files.graph_types import holds_float64

if TYPE_CHECKING:
    import onnx

_MOST_TOLD = 5  # files
_ONNX = ("", "ai.onnx")  # the names of the standard's own operators


def problems_of_graph(bundle: Bundle, role: Role, run: bool) -> Iterator[str]:
    """Tell what is wrong with a bundle's graph in the file of this role; ``run``: ONNX Runtime is asked too."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    path = bundle.path(role)
    try:
        graph = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        yield f"is no ONNX graph: {first_line(error)}"
        return
    data = bundle.manifest.files.get("onnx_data") if role == "onnx" else None
    outside, interface = _files_outside(graph), _interface(graph, path)
    del graph
    recorded = {data.name} if data else set()
    if outside != recorded:
        yield f"has weights in {_named(sorted(outside))}, the manifest records {_named(sorted(recorded))}"
        return
    try:
        onnx.checker.check_model(str(path))
        if run:
            _load(str(path))
    except Exception as error:  # ONNX Runtime has a class of its own for each kind of failure
        yield f"is refused: {first_line(error)}"
        return
    record = bundle.manifest.graph if role == "onnx" else bundle.manifest.reduced.get(role)
    yield from _contract_problems(interface, bundle.manifest, record)


def _load(path: str) -> None:
    """Open a graph as ONNX Runtime does before it runs one."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # they double the memory
    options.log_severity_level = 3
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


_Value = tuple[str, int, tuple[int | str, ...]]  # name, element type in onnx's numbers, sizes or names of the axes


@dataclass(frozen=True)
class _Interface:
    """What a graph declares."""

    inputs: list[_Value]
    outputs: list[_Value]
    says: dict[str, str]
    opset: int
    holds_float64: bool


def _interface(model: onnx.ModelProto, path: Path) -> _Interface:
    weights = {tensor.name for tensor in model.graph.initializer}  # which old graphs list among the inputs
    return _Interface(
        [_declared(value) for value in model.graph.input if value.name not in weights],
        [_declared(value) for value in model.graph.output],
        {entry.key: entry.value for entry in model.metadata_props},
        max((each.version for each in model.opset_import if each.domain in _ONNX), default=0),
        holds_float64(path),
    )


def _declared(value: onnx.ValueInfoProto) -> _Value:
    tensor = value.type.tensor_type
    return value.name, tensor.elem_type, tuple(axis.dim_param or axis.dim_value for axis in tensor.shape.dim)


def _contract_problems(interface: _Interface, manifest: Manifest, graph: GraphRecord | None) -> Iterator[str]:
    """Inputs, outputs and metadata."""
    from onnx import TensorProto

    channel = graph is not None and graph.channel_axis
    given = [(name, kind, len(axes)) for name, kind, axes in interface.inputs if is_waveform(axes)]
    if len(interface.inputs) != 1 or given != [(WAVEFORM, TensorProto.FLOAT, 3 if channel else 2)]:
        yield f"does not take one waveform [batch, {'1, ' if channel else ''}samples] float32"
        return
    encoder = manifest.encoder
    yield from _output_problems(interface, manifest, graph)
    says = interface.says
    expected = stated(
        configuration=manifest.name,
        sample_rate=encoder.sample_rate,
        hop=encoder.hop,
        receptive_field=encoder.receptive_field,
        dimension=encoder.dimension,
        normalize=encoder.normalize,
        licence=manifest.licence,
        source_sha256=manifest.source.sha256,
    )
    if graph is not None:
        expected |= {"precision": graph.precision, "attention": graph.attention, "exporter": graph.exporter}
        if graph.weights != "float32" or "weights" in says:
            expected["weights"] = graph.weights
        if graph.wide or "wide" in says:
            expected["wide"] = json.dumps(sorted(graph.wide))
        if graph.precision != "mixed" and graph.exporter == "graph" and interface.holds_float64:
            yield f"holds float64, the manifest says precision {quoted(graph.precision)}"
        if interface.opset != graph.opset:
            yield f"is of opset {interface.opset}, the manifest says {graph.opset}"
        fixed = tuple(size for size in interface.inputs[0][2][:: 2 if channel else 1] if isinstance(size, int) and size)
        if fixed != (graph.fixed_shape or ()):
            yield f"takes sizes {list(fixed)} alone, the manifest says {list(graph.fixed_shape or ())}"
    for name, value in expected.items():
        if says.get(name) != value:
            yield f"says {name} {quoted(says.get(name))}, the manifest {quoted(value)}"


def _output_problems(interface: _Interface, manifest: Manifest, graph: GraphRecord | None) -> Iterator[str]:
    """What the graph gives, against what the manifest records; of old manifests the first output alone is known."""
    from onnx import TensorProto

    recorded = graph.outputs if graph else ()
    dimension = manifest.encoder.dimension
    expected = {output.name: output.dimension for output in recorded} or {EMBEDDINGS: dimension}
    given = interface.outputs if recorded else interface.outputs[:1]
    if [name for name, _, _ in given] != list(expected):
        yield f"gives {_named([name for name, _, _ in given])}, the manifest says {_named(expected)}"
        return
    for name, kind, axes in given:
        numbers = expected[name]
        wanted = (TensorProto.INT64, 2) if numbers is None else (TensorProto.FLOAT, 3)
        if (name == EMBEDDINGS or is_layer(name)) and axes[-1:] != (dimension,):
            yield f"does not give {name} of {dimension} numbers"
        elif (kind, len(axes)) != wanted or (numbers is not None and axes[-1:] != (numbers,)):
            what = "int64 [batch, frames]" if numbers is None else f"float32 [batch, frames, {numbers}]"
            yield f"gives {quoted(name)} otherwise than as {what}"
    told = interface.says.get("outputs")  # which a graph with those that are there by default does not say
    if recorded and told not in (None, json.dumps([asdict(output) for output in recorded], ensure_ascii=False)):
        yield f"says outputs {quoted(told)}, the manifest another list"


def _named(files: Iterable[str]) -> str:
    return f"[{listed([quoted(name) for name in files], _MOST_TOLD)}]"


def _files_outside(model: onnx.ModelProto) -> set[str]:
    """Where the weights lie that are not in the file."""
    tensors = [tensor for tensor in model.graph.initializer if tensor.data_location == tensor.EXTERNAL]
    return {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}
