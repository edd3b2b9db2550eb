"""Writing an ONNX model to a file, one tensor after the other.

protobuf serialises a whole message into memory, which takes longer over 380 MB of weights than the disk does. The bytes
are those that it would write: fields in the order of their numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]
from onnx import TensorProto, helper

from aves_artifacts.files.protobuf_fields import prefix
from aves_artifacts.files.writing import replacing

_LARGEST_FILE = 2**31 - 2**20  # protobuf reads no message of 2 GiB; a little is left for what is not weights
_SMALLEST_EXTERNAL = 1024  # bytes; shapes and other small constants stay in the graph, where shape inference needs them
_PAGE = 4096  # weights start on a page, so that a runtime can map them


def save_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write the model to a file; past 2 GB, which no ONNX file can hold, the weights go to ``path``.data beside it.

    A killed run leaves the old file or the new one. Raises InputError where nothing can be written.
    """
    tensors: Iterable[TensorProto] = model.graph.initializer
    if sum(map(_size, tensors)) > _LARGEST_FILE:
        data = path.with_name(f"{path.name}.data")
        with replacing(data) as temporary:
            tensors = _write_weights(tensors, data.name, temporary)
    with replacing(path) as temporary, temporary.open("wb") as stream:
        _write_model(model, tensors, stream)


def _write_model(model: onnx.ModelProto, tensors: Iterable[TensorProto], stream: IO[bytes]) -> None:
    """The model with these initializers in the place of its own."""
    head, tail = _around(model, onnx.ModelProto.GRAPH_FIELD_NUMBER)
    before, after = _around(model.graph, onnx.GraphProto.INITIALIZER_FIELD_NUMBER)
    sizes = [tensor.ByteSize() for tensor in tensors]
    prefixes = [prefix(onnx.GraphProto.INITIALIZER_FIELD_NUMBER, size) for size in sizes]
    length = len(before) + sum(map(len, prefixes)) + sum(sizes) + len(after)
    stream.write(head + prefix(onnx.ModelProto.GRAPH_FIELD_NUMBER, length) + before)
    for before_tensor, tensor in zip(prefixes, tensors, strict=True):
        stream.write(before_tensor)
        _write_tensor(tensor, stream)
    stream.write(after + tail)


def _write_tensor(tensor: TensorProto, stream: IO[bytes]) -> None:
    before, after = _around(tensor, TensorProto.RAW_DATA_FIELD_NUMBER)
    stream.write(before)
    if tensor.HasField("raw_data"):
        data = tensor.raw_data
        stream.write(prefix(TensorProto.RAW_DATA_FIELD_NUMBER, len(data)))
        stream.write(data)
    stream.write(after)


def _write_weights(tensors: Iterable[TensorProto], location: str, path: Path) -> list[TensorProto]:
    """Write the weights to ``path`` one after the other; returns references to them in ``location``."""
    references = []
    with path.open("wb") as stream:
        for tensor in tensors:
            data = tensor.raw_data
            if len(data) < _SMALLEST_EXTERNAL:  # also what has its values in other fields
                references.append(tensor)
                continue
            stream.write(bytes(-stream.tell() % _PAGE))
            place = {"location": location, "offset": stream.tell(), "length": len(data)}
            entries = [onnx.StringStringEntryProto(key=key, value=str(value)) for key, value in place.items()]
            references.append(
                TensorProto(
                    name=tensor.name,
                    data_type=tensor.data_type,
                    dims=tensor.dims,
                    data_location=TensorProto.EXTERNAL,
                    external_data=entries,
                )
            )
            stream.write(data)
    return references


def _size(tensor: TensorProto) -> int:
    """Bytes of a tensor's data, without the copy that reading them would cost."""
    size: int = math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return size


def _around(message: Message, number: int) -> tuple[bytes, bytes]:
    """The bytes of all fields before the one of that number, and of all after it; that one has the weights."""
    before, after = type(message)(), type(message)()
    for field, value in message.ListFields():
        part = before if field.number < number else after
        if field.number == number:
            continue
        if isinstance(value, Message):
            getattr(part, field.name).CopyFrom(value)
        elif isinstance(value, str | bytes | int | float):
            setattr(part, field.name, value)
        else:
            getattr(part, field.name).extend(value)
    return before.SerializeToString(deterministic=True), after.SerializeToString(deterministic=True)
