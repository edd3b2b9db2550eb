"""Writing an ONNX model to a file, one tensor after the other.

protobuf serialises a whole message into memory, which takes longer over 380 MB of weights than the disk does. The bytes
are those that it would write: fields in the order of their numbers. Weights that lie beside the model as arrays go from
there to the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper

from aves_artifacts.files.protobuf_fields import prefix
from aves_artifacts.files.writing import replacing
from aves_convert.graph_files.weighted import raw_bytes

_LARGEST_FILE = 2**31 - 2**20  # protobuf reads no message of 2 GiB; a little is left for what is not weights
_SMALLEST_EXTERNAL = 1024  # bytes; shapes and other small constants stay in the graph, where shape inference needs them
_PAGE = 4096  # weights start on a page, so that a runtime can map them


Arrays = Mapping[str, NDArray[Any]]  # values of initializers, by name; those have none in the model


def save_graph(model: onnx.ModelProto, path: Path, arrays: Arrays = MappingProxyType({})) -> None:
    """Write the model to a file; past 2 GB, which no ONNX file can hold, the weights go to ``path``.data beside it.

    ``arrays``: the values of those initializers that have none in the model. A killed run leaves the old file or the
    new one. Raises InputError where nothing can be written.
    """
    tensors: Iterable[TensorProto] = model.graph.initializer
    if sum(map(_size, tensors)) > _LARGEST_FILE:
        data = path.with_name(f"{path.name}.data")
        with replacing(data) as temporary:
            tensors = _write_weights(tensors, arrays, data.name, temporary)
    with replacing(path) as temporary, temporary.open("wb") as stream:
        _write_model(model, tensors, arrays, stream)


def _write_model(model: onnx.ModelProto, tensors: Iterable[TensorProto], arrays: Arrays, stream: IO[bytes]) -> None:
    """The model with these initializers in the place of its own."""
    head, tail = _around(model, onnx.ModelProto.GRAPH_FIELD_NUMBER)
    before, after = _around(model.graph, onnx.GraphProto.INITIALIZER_FIELD_NUMBER)
    sizes = [_message_size(tensor, arrays) for tensor in tensors]
    prefixes = [prefix(onnx.GraphProto.INITIALIZER_FIELD_NUMBER, size) for size in sizes]
    length = len(before) + sum(map(len, prefixes)) + sum(sizes) + len(after)
    stream.write(head + prefix(onnx.ModelProto.GRAPH_FIELD_NUMBER, length) + before)
    for before_tensor, tensor in zip(prefixes, tensors, strict=True):
        stream.write(before_tensor)
        _write_tensor(tensor, arrays, stream)
    stream.write(after + tail)


def _message_size(tensor: TensorProto, arrays: Arrays) -> int:
    """Bytes of a tensor's message, with its values wherever they lie."""
    size: int = tensor.ByteSize()
    if _is_beside(tensor, arrays):
        length = arrays[tensor.name].nbytes
        size += len(prefix(TensorProto.RAW_DATA_FIELD_NUMBER, length)) + length
    return size


def _write_tensor(tensor: TensorProto, arrays: Arrays, stream: IO[bytes]) -> None:
    before, after = _around(tensor, TensorProto.RAW_DATA_FIELD_NUMBER)
    stream.write(before)
    if _is_beside(tensor, arrays) or tensor.HasField("raw_data"):
        data = _raw_data(tensor, arrays)
        stream.write(prefix(TensorProto.RAW_DATA_FIELD_NUMBER, len(data)))
        stream.write(data)
    stream.write(after)


def _write_weights(tensors: Iterable[TensorProto], arrays: Arrays, location: str, path: Path) -> list[TensorProto]:
    """Write the weights to ``path`` one after the other; returns references to them in ``location``."""
    references = []
    with path.open("wb") as stream:
        for tensor in tensors:
            data = _raw_data(tensor, arrays)
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


def _is_beside(tensor: TensorProto, arrays: Arrays) -> bool:
    """Whether its values are an array's; those of a reference are in another file already."""
    return tensor.name in arrays and tensor.data_location != TensorProto.EXTERNAL


def _raw_data(tensor: TensorProto, arrays: Arrays) -> bytes | memoryview:
    """Its values in bytes, from where they lie; none where it has them in other fields."""
    return raw_bytes(arrays[tensor.name]) if _is_beside(tensor, arrays) else tensor.raw_data


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
