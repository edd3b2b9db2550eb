"""Finding the fields of a protobuf message, such as an ONNX file, by their positions and without copying them.

A field is a key, which is its number and wire type, and then its content; source: "Encoding" in protobuf's
documentation. Readers raise ValueError for bytes that are no message.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aves_artifacts.files.file_bytes import FileBytes

_VARINT, _BYTES = 0, 2  # wire types
_FIXED = {1: 8, 5: 4}  # wire type -> bytes
_MAX_FIELDS = 300_000  # of one file; genuine graphs have some thousand


@dataclass
class Fields:
    """The bytes of a protobuf file; ``left`` is how many more fields are read until it is taken for damaged."""

    data: FileBytes
    left: int = _MAX_FIELDS

    def within(self, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """List the fields of the message from ``at`` to ``end``: key's position, number, begin and end of content."""
        while at < end:
            self.left -= 1
            if self.left < 0:
                raise ValueError("more fields than any graph has")
            tag = at
            key, begin = self.number(at, end)
            kind = key & 7
            if kind == _VARINT:
                at = self.number(begin, end)[1]
            elif kind == _BYTES:
                size, begin = self.number(begin, end)
                at = begin + size
            elif kind in _FIXED:
                at = begin + _FIXED[kind]
            else:
                raise ValueError(f"an unknown field at byte {tag}")
            if at > end:
                raise ValueError(f"the file ends inside the field at byte {tag}")
            yield tag, key >> 3, begin, at

    def number(self, at: int, end: int) -> tuple[int, int]:
        """Read a number of seven bits per byte; return it and the position after it."""
        value = 0
        for index in range(10):
            if at + index >= end:
                raise ValueError(f"the file ends inside the number at byte {at}")
            byte = self.data[at + index]
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                return value, at + index + 1
        raise ValueError(f"no number at byte {at}")


def prefix(number: int, length: int) -> bytes:
    """The bytes that stand before a field's content of ``length`` bytes."""
    return _varint(number << 3 | _BYTES) + _varint(length)


def _varint(value: int) -> bytes:
    """A number as seven bits to the byte, the least first; the highest bit says that more follow."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
