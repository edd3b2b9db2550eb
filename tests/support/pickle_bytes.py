"""Pickles made byte by byte, opcode by opcode: what a pickler would never write can be written too."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

COMMAND = "touch EXECUTED"


@dataclass(frozen=True)
class Raw:
    """Opcodes that leave one object on the stack."""

    opcodes: bytes


def opcodes(value: object) -> bytes:
    """Opcodes of protocol 2 that put ``value`` on the stack; ``Raw`` goes in as it is."""
    if isinstance(value, Raw):
        return value.opcodes
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        if -(2**31) <= value < 2**31:
            return b"J" + struct.pack("<i", value)
        encoded = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(encoded)]) + encoded
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        encoded = value.encode()
        return b"X" + struct.pack("<I", len(encoded)) + encoded
    if isinstance(value, tuple):
        return b"(" + b"".join(map(opcodes, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(opcodes, value)) + b"e"
    if isinstance(value, Mapping):
        return b"}(" + b"".join(opcodes(key) + opcodes(item) for key, item in value.items()) + b"u"
    raise TypeError(type(value))


def pickled(value: object) -> bytes:
    return b"\x80\x02" + opcodes(value) + b"."


def name(module: str, attribute: str) -> Raw:
    return Raw(f"c{module}\n{attribute}\n".encode())


def reduced(function: Raw, *args: object) -> Raw:
    return Raw(function.opcodes + opcodes(args) + b"R")


def built(instance: Raw, state: object) -> Raw:
    return Raw(instance.opcodes + opcodes(state) + b"b")


def new(cls: Raw, state: object) -> Raw:
    """An ordinary object as protocol 2 writes it: NEWOBJ without arguments, then BUILD."""
    return Raw(cls.opcodes + b")\x81" + opcodes(state) + b"b")


SYSTEM = name("posix", "system")


REBUILD = name("torch._utils", "_rebuild_tensor_v2")


ORDERED_DICT = Raw(name("collections", "OrderedDict").opcodes + b")R")


def storage(key: object = "0", numel: object = 6, cls: Raw | None = None, location: object = "cpu") -> Raw:
    return Raw(opcodes(("storage", cls or name("torch", "FloatStorage"), key, location, numel)) + b"Q")


def tensor(shape: object = (2, 3), stride: object = (3, 1), offset: object = 0, stored: object = None) -> Raw:
    return reduced(REBUILD, stored or storage(), offset, shape, stride, False, ORDERED_DICT)


def checkpoint(**changes: object) -> dict[str, object]:
    """The smallest thing that passes for a fairseq checkpoint, with one tensor of six float32."""
    contents: dict[str, object] = {
        "args": None,
        "cfg": {"model": {"_name": "hubert"}, "task": {"_name": "hubert_pretraining"}},
        "model": {"mask_emb": tensor()},
        "extra_state": {},
    }
    return contents | changes
