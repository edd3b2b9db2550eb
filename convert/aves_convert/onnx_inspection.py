"""What an ONNX file says about itself, read without its weights.

The weights are most of the file. Its protobuf fields are walked and the initializers stepped over; what is left is
small and parsed by onnx. Field numbers: ``onnx/onnx.proto`` (ModelProto, GraphProto, TensorProto).
"""

from __future__ import annotations

import math
import mmap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aves_artifacts.errors import InputError
from aves_convert.inspection import Inspection, command, sibling

if TYPE_CHECKING:
    import onnx

_IR_VERSION_TAG, _MAX_IR_VERSION = 0x08, 60
_SECOND_TAGS = b"\x12\x1a\x22\x28\x32\x3a\x42\x72"  # producer, domain, version, doc, graph, opset, metadata
_GRAPH, _INITIALIZER, _SPARSE_INITIALIZER = 7, 5, 15
_DIMS, _TYPE, _NAME, _EXTERNAL = 1, 2, 8, 13
_FLOATS = (1, 10, 11, 16)  # TensorProto.DataType: float, float16, double, bfloat16
_VARINT, _BYTES, _FIXED = 0, 2, {1: 8, 5: 4}  # wire types; bytes of the fixed ones
_MAX_DIMENSIONS = 64
_MAX_FIELDS = 2_000_000  # on the way to the nodes and through the initializers; genuine graphs have some thousand


@dataclass
class _Walk:
    """One walk over the fields of a model, and what its initializers amount to. Methods raise ValueError."""

    data: mmap.mmap
    names: set[str] = field(default_factory=set)  # of the initializers
    parameters: int = 0
    files: set[str] = field(default_factory=set)  # where weights outside the file lie
    left: int = _MAX_FIELDS

    def without_weights(self) -> bytes:
        """The model without its initializers, which are counted instead."""
        kept, graphs = bytearray(), 0
        for tag, number, begin, end in self._fields(0, len(self.data)):
            if number != _GRAPH:
                kept += self.data[tag:end]
                continue
            graphs += 1
            graph = bytearray()
            for inner, part, start, stop in self._fields(begin, end):
                if part == _INITIALIZER:
                    self._count(start, stop)
                elif part != _SPARSE_INITIALIZER:
                    graph += self.data[inner:stop]
            kept += _varint(_GRAPH << 3 | _BYTES) + _varint(len(graph)) + graph
        if graphs != 1:
            raise ValueError(f"{graphs} graphs, expected one")
        return bytes(kept)

    def _count(self, start: int, stop: int) -> None:
        """Add one TensorProto to the sum."""
        sizes: list[int] = []
        kind = 0
        for _, number, begin, end in self._fields(start, stop):
            if number == _DIMS:  # one field each, or all packed into one
                while begin < end and len(sizes) < _MAX_DIMENSIONS:
                    size, begin = self._number(begin, end)
                    sizes.append(size)
            elif number == _TYPE:
                kind, _ = self._number(begin, end)
            elif number == _NAME:
                self.names.add(_text(self.data[begin:end]))
            elif number == _EXTERNAL:
                entry = {part: _text(self.data[first:last]) for _, part, first, last in self._fields(begin, end)}
                if entry.get(1) == "location":
                    self.files.add(entry.get(2, ""))
        if kind in _FLOATS:
            self.parameters += math.prod(sizes)

    def _fields(self, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Position of the tag, number, begin and end of the content of every field of a message."""
        while at < end:
            self.left -= 1
            if self.left < 0:
                raise ValueError("more fields than any graph has")
            tag = at
            key, begin = self._number(at, end)
            kind = key & 7
            if kind == _VARINT:
                at = self._number(begin, end)[1]
            elif kind == _BYTES:
                size, begin = self._number(begin, end)
                at = begin + size
            elif kind in _FIXED:
                at = begin + _FIXED[kind]
            else:
                raise ValueError(f"an unknown field at byte {tag}")
            if at > end:
                raise ValueError(f"the file ends inside the field at byte {tag}")
            yield tag, key >> 3, begin, at

    def _number(self, at: int, end: int) -> tuple[int, int]:
        """A number of seven bits per byte, and the byte after it."""
        value = 0
        for index in range(10):
            if at + index >= end:
                raise ValueError(f"the file ends inside the number at byte {at}")
            byte = self.data[at + index]
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                return value, at + index + 1
        raise ValueError(f"no number at byte {at}")


def looks_like_onnx(head: bytes) -> bool:
    """Whether a file begins as ONNX writers begin: with the IR version, then another field of a model."""
    return len(head) > 2 and head[0] == _IR_VERSION_TAG and 0 < head[1] <= _MAX_IR_VERSION and head[2] in _SECOND_TAGS


def inspect_onnx(path: Path, data: mmap.mmap) -> Inspection:
    """Tell opset, inputs, outputs, operators and metadata of a graph. Raises InputError where it is damaged."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    walk = _Walk(data)
    try:
        model = onnx.ModelProto.FromString(walk.without_weights())
    except (ValueError, DecodeError) as error:
        raise InputError(f"{path}: a damaged or truncated ONNX file ({error}); fetch or convert it again") from None
    inputs = [value for value in model.graph.input if _text(value.name) not in walk.names]
    facts = {
        "bytes": len(data),
        "opset": {_text(entry.domain) or "ai.onnx": entry.version for entry in model.opset_import},
        "producer": f"{_text(model.producer_name)} {_text(model.producer_version)}".strip() or "not recorded",
        "inputs": {_text(value.name): _described(value) for value in inputs},
        "outputs": {_text(value.name): _described(value) for value in model.graph.output},
        "parameters": walk.parameters,
        "operators": dict(Counter(_text(node.op_type) for node in model.graph.node).most_common()),
        "metadata": {_text(entry.key): _text(entry.value) for entry in model.metadata_props},
    }
    if walk.files:
        facts["weights_outside"] = sorted(walk.files)
    problem = _problem(path, inputs, walk)
    return Inspection(path, "ONNX graph", facts, None if problem else _next(path), problem)


def _problem(path: Path, inputs: list[onnx.ValueInfoProto], walk: _Walk) -> str | None:
    """Why the graph is no encoder that the tools run, None where it is one."""
    missing = [name for name in sorted(walk.files) if not (path.parent / name).is_file()]
    if missing:
        return f"{path}: its weights are in {', '.join(missing[:3])}, which is missing beside it"
    if len(inputs) == 1:
        described = inputs[0].type.tensor_type
        if described.elem_type == 1 and len(described.shape.dim) == 2:
            return None
    found = ", ".join(f"{_text(value.name)} {_described(value)}" for value in inputs) or "none"
    return f"{path}: an ONNX graph of another kind: inputs are {found}; expected one waveform [batch, samples] float32"


def _next(path: Path) -> str:
    """Compare it with whatever lies beside it."""
    original = sibling(path, ".onnx", ".pt")
    weights = sibling(path, ".onnx", ".torchaudio.pt")
    config = sibling(path, ".onnx", ".torchaudio.model_config.json")
    if original is None and weights and config:
        files = ("--torchaudio", weights, "--config", config)
        return command("aves-verify", *files, "--onnx", path, "--backends", "torchaudio,onnx")
    return command("aves-verify", "--fairseq", original or "CKPT", "--onnx", path, "--backends", "fairseq,onnx")


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


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
