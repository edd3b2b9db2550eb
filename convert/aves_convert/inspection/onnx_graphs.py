"""Inspecting ONNX files without reading their weights.

The weights are most of the file. Its protobuf fields are walked and the initializers stepped over; what is left is
small and parsed by onnx. Field numbers: ``onnx/onnx.proto`` (ModelProto, GraphProto, TensorProto).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import listed, printable, reason_of
from aves_artifacts.bundle.graph_contract import is_waveform
from aves_artifacts.bundle.manifest import REDUCED, ending
from aves_artifacts.bundle.outputs import is_of_heads
from aves_artifacts.files.file_bytes import FileBytes
from aves_artifacts.files.graph_types import port_of_graph
from aves_artifacts.files.protobuf_fields import Fields, prefix
from aves_convert.inspection.finding import Inspection, shell_command, sibling

if TYPE_CHECKING:
    import onnx

_IR_VERSION_TAG, _MAX_IR_VERSION = 0x08, 60
_SECOND_TAGS = b"\x12\x1a\x22\x28\x32\x3a\x42\x72"  # producer, domain, version, doc, graph, opset, metadata
_GRAPH, _INITIALIZER, _SPARSE_INITIALIZER = 7, 5, 15
_DIMS, _TYPE, _NAME, _EXTERNAL = 1, 2, 8, 13
_FLOATS = (1, 10, 11, 16)  # TensorProto.DataType: float, float16, double, bfloat16
_MAX_DIMENSIONS = 64
_MAX_LISTED = 1000  # inputs, outputs, entries of metadata; graphs with all layers have some dozens


@dataclass
class _Walk:
    """One walk over the fields of a model, and what its initializers amount to. Methods raise ValueError."""

    fields: Fields
    names: set[str] = field(default_factory=set)  # of the initializers
    parameters: int = 0
    files: set[str] = field(default_factory=set)  # where weights outside the file lie

    def without_weights(self) -> bytes:
        """The model without its initializers, which are counted instead."""
        kept, graphs, data = bytearray(), 0, self.fields.data
        for tag, number, begin, end in self.fields.within(0, len(data)):
            if number != _GRAPH:
                kept += data[tag:end]
                continue
            graphs += 1
            graph = bytearray()
            for inner, part, start, stop in self.fields.within(begin, end):
                if part == _INITIALIZER:
                    self._count(start, stop)
                elif part != _SPARSE_INITIALIZER:
                    graph += data[inner:stop]
            kept += prefix(_GRAPH, len(graph)) + graph
        if graphs != 1:
            raise ValueError(f"{graphs} graphs, expected one")
        return bytes(kept)

    def _count(self, start: int, stop: int) -> None:
        """Add one TensorProto to the sum."""
        sizes: list[int] = []
        kind = 0
        for _, number, begin, end in self.fields.within(start, stop):
            if number == _DIMS:  # one field each, or all packed into one
                while begin < end and len(sizes) < _MAX_DIMENSIONS:
                    size, begin = self.fields.number(begin, end)
                    sizes.append(size)
            elif number == _TYPE:
                kind, _ = self.fields.number(begin, end)
            elif number == _NAME:
                self.names.add(_text(self.fields.data[begin:end]))
            elif number == _EXTERNAL:
                entry = {
                    part: _text(self.fields.data[first:last]) for _, part, first, last in self.fields.within(begin, end)
                }
                if entry.get(1) == "location":
                    self.files.add(entry.get(2, ""))
        if kind in _FLOATS:
            self.parameters += math.prod(sizes)


def looks_like_onnx(head: bytes) -> bool:
    """Whether a file begins as ONNX writers begin: with the IR version, then another field of a model."""
    return len(head) > 2 and head[0] == _IR_VERSION_TAG and 0 < head[1] <= _MAX_IR_VERSION and head[2] in _SECOND_TAGS


def inspect_onnx(path: Path, data: FileBytes) -> Inspection:
    """Tell opset, inputs, outputs, operators and metadata of a graph. Raises InputError where it is damaged."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    walk = _Walk(Fields(data))
    try:
        model, port = onnx.ModelProto.FromString(walk.without_weights()), port_of_graph(path)
    except (ValueError, DecodeError) as error:
        raise InputError(
            f"{path}: a damaged or truncated ONNX file ({reason_of(error)}); fetch or convert it again"
        ) from None
    inputs = [value for value in model.graph.input if _text(value.name) not in walk.names]
    operators = Counter(_text(node.op_type) for node in model.graph.node)
    for what, values in (
        ("inputs", inputs),
        ("outputs", model.graph.output),
        ("kinds of operators", operators),
        ("operator sets", model.opset_import),
        ("entries of metadata", model.metadata_props),
        ("files with weights", walk.files),
    ):
        if len(values) > _MAX_LISTED:
            raise InputError(f"{path}: an ONNX graph of another kind: it has {len(values):,} {what}")
    facts = {
        "bytes": len(data),
        "opset": {_text(entry.domain) or "ai.onnx": entry.version for entry in model.opset_import},
        "producer": f"{_text(model.producer_name)} {_text(model.producer_version)}".strip() or "not recorded",
        "inputs": {_text(value.name): _described(value) for value in inputs},
        "outputs": {_text(value.name): _described(value) for value in model.graph.output},
        "parameters": walk.parameters,
        "operators": dict(operators.most_common()),
        "metadata": {_text(entry.key): _text(entry.value) for entry in model.metadata_props},
    }
    if walk.files:
        facts["weights_outside"] = sorted(walk.files)
    problem = _problem(path, inputs, walk)
    heads = any(is_of_heads(_text(value.name)) for value in model.graph.output)
    return Inspection(
        path,
        "ONNX graph" if port == "onnx" else f"ONNX graph, smaller: {port}",
        facts,
        None if problem else _next(path, port, heads=heads),
        (problem,) if problem else (),
    )


def _problem(path: Path, inputs: list[onnx.ValueInfoProto], walk: _Walk) -> str | None:
    """Why the graph is no encoder that the tools run, None where it is one."""
    missing = [printable(name) for name in sorted(walk.files) if not _is_there(path.parent, name)]
    if missing:
        return f"{path}: its weights are in {listed(missing, 3)}, which is missing beside it"
    if len(inputs) == 1:
        described = inputs[0].type.tensor_type
        if described.elem_type == 1 and is_waveform([axis.dim_value for axis in described.shape.dim]):
            return None
    found = listed([printable(f"{_text(value.name)} {_described(value)}") for value in inputs], 3) or "none"
    return f"{path}: an ONNX graph of another kind: inputs are {found}; expected one waveform [batch, samples] float32"


def _is_there(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _next(path: Path, port: str, *, heads: bool) -> str:
    """Compare it with whatever lies beside it; a smaller graph as one."""
    option = ("--onnx" if port == "onnx" else "--reduced", path)
    mine = ending(REDUCED.get(port, "onnx"))
    mine = mine if path.name.endswith(mine) else ending("onnx")
    original = sibling(path, mine, ".pt")
    weights = sibling(path, mine, ending("torchaudio"))
    config = sibling(path, mine, ending("config"))
    if original is None and weights and config:
        beside = sibling(path, mine, ending("heads")) if heads else None
        files = ("--torchaudio", weights, "--config", config, *(("--heads", beside) if beside else ()))
        return shell_command("aves-verify", *files, *option, "--backends", f"torchaudio,{port}")
    return shell_command("aves-verify", "--fairseq", original or "CKPT", *option, "--backends", f"fairseq,{port}")


def _described(value: onnx.ValueInfoProto) -> str:
    """Element type and shape: ``float [batch, samples]``."""
    import onnx

    tensor = value.type.tensor_type
    known = tensor.elem_type in onnx.TensorProto.DataType.values()
    name = onnx.TensorProto.DataType.Name(tensor.elem_type).lower() if known else f"type {tensor.elem_type}"
    axes = [
        _text(axis.dim_param) or (str(axis.dim_value) if axis.HasField("dim_value") else "?")
        for axis in tensor.shape.dim
    ]
    return f"{name} [{', '.join(axes)}]"


def _text(value: str | bytes) -> str:
    """Text of a message; protobuf gives bytes where it is not UTF-8."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
