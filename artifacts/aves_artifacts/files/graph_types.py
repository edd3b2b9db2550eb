"""Which types of numbers an ONNX graph holds, read piece by piece, without its weights: what it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aves_artifacts.files.file_bytes import FileBytes
from aves_artifacts.files.protobuf_fields import Fields

# Operators that whole numbers of few bits are multiplied with, made by, or made floating-point numbers again.
_QUANTISED = (
    "MatMulInteger",
    "QLinear",
    "ConvInteger",
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantize",
    "QGemm",
)


@dataclass(frozen=True)
class _Holds:
    """A node's operator, and the types of numbers of its constants and of what a Cast makes; of a weight its type."""

    operator: str
    types: tuple[int, ...]


def holds_float64(path: Path) -> bool:
    """Whether a weight, a constant of a node, or what a Cast makes is in float64: with one of these it begins.

    Raises OSError, ValueError or DecodeError for no graph.
    """
    from onnx import TensorProto

    return any(TensorProto.DOUBLE in each.types for each in _held(path))


def port_of_graph(path: Path) -> str:
    """Tell by what a graph holds which port it is: ``onnx``, or one of ``REDUCED``.

    Whole numbers of few bits anywhere make it ``onnx.int8``, a value that is cast to half precision ``onnx.float16``,
    and weights in half precision alone ``onnx.float16-weights``. Raises OSError, ValueError or DecodeError for no
    graph.
    """
    from onnx import TensorProto

    narrow = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
    found = "onnx"
    for each in _held(path):
        if any(name in each.operator for name in _QUANTISED):
            return "onnx.int8"
        if not set(narrow).isdisjoint(each.types):
            computed = each.operator == "Cast" or found == "onnx.float16"
            found = "onnx.float16" if computed else "onnx.float16-weights"
    return found


def _held(path: Path) -> Iterator[_Holds]:
    """Every node and every weight of the graph."""
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

    fields = Fields(FileBytes(path))
    for _, number, begin, end in fields.within(0, len(fields.data)):
        if number != ModelProto.GRAPH_FIELD_NUMBER:
            continue
        for _, part, start, stop in fields.within(begin, end):
            if part == GraphProto.NODE_FIELD_NUMBER:
                node = NodeProto.FromString(fields.data[start:stop])
                made = [each.i for each in node.attribute if (node.op_type, each.name) == ("Cast", "to")]
                yield _Holds(_text(node.op_type), (*made, *(each.t.data_type for each in node.attribute)))
            elif part == GraphProto.INITIALIZER_FIELD_NUMBER:
                for _, inner, first, last in fields.within(start, stop):
                    if inner == TensorProto.DATA_TYPE_FIELD_NUMBER:
                        yield _Holds("", (fields.number(first, last)[0],))
                        break


def _text(value: str | bytes) -> str:
    """Text of a message; protobuf gives bytes where it is not UTF-8."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
