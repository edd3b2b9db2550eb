"""What an ONNX graph says of itself, read without its weights: all entries, as there may be several of one name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aves_artifacts.files.file_bytes import FileBytes
from aves_artifacts.files.protobuf_fields import Fields


def contradictions(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Names that the metadata has more than once with other values, and these: readers choose one as they like.

    Raises OSError, ValueError or DecodeError for no graph.
    """
    found: dict[str, list[str]] = {}
    for key, value in _entries(path):
        found.setdefault(key, []).append(value)
    yield from ((key, values) for key, values in found.items() if len(set(values)) > 1)


def _entries(path: Path) -> Iterator[tuple[str, str]]:
    from onnx import ModelProto, StringStringEntryProto

    fields = Fields(FileBytes(path))
    for _, number, begin, end in fields.within(0, len(fields.data)):
        if number == ModelProto.METADATA_PROPS_FIELD_NUMBER:
            entry = StringStringEntryProto.FromString(fields.data[begin:end])
            yield entry.key, entry.value
