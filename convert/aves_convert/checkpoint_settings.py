"""Settings inside a checkpoint as plain values: omegaconf nodes, namespaces, enums and numpy scalars are taken apart.

Records are read by their names and states alone; what is not known stays a record. The result is a tree without cycles,
of limited depth and size, so whoever prints or walks it needs no care.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aves_convert.inert_pickle import Global, Record

MAX_DEPTH = 40
MAX_SIZE = 200_000  # values in the settings of one checkpoint; genuine ones have some hundreds

_SCALARS = (type(None), bool, int, float, str, bytes)
_ENCODE = Global("_codecs", "encode")
_DTYPE = Global("numpy", "dtype")
_NUMPY_SCALARS = (Global("numpy.core.multiarray", "scalar"), Global("numpy._core.multiarray", "scalar"))
_NUMPY_FORMATS = dict(
    zip(
        ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"], "?bhiqBHIQefd", strict=True
    )  # numpy's code, struct's code
)


def plain(value: object) -> Any:
    """``value`` with every known record turned into dict, list, number or string.

    Raises ValueError when the value contains itself, or is deeper or larger than any settings are.
    """
    return _Reader().read(value, 0)


@dataclass
class _Reader:
    """Counts what it reads: a value that is mentioned twice is read twice, so the result is as large as it looks."""

    left: int = MAX_SIZE

    def read(self, value: object, depth: int) -> Any:
        self.left -= 1
        if depth > MAX_DEPTH or self.left < 0:
            raise ValueError("the settings are deeper or larger than those of any checkpoint, or contain themselves")
        if type(value) is dict:
            return {self.key(key): self.read(item, depth + 1) for key, item in value.items()}
        if type(value) is list:
            return [self.read(item, depth + 1) for item in value]
        if type(value) is tuple:
            return tuple(self.read(item, depth + 1) for item in value)
        if type(value) is Record:
            return self.record(value, depth)
        return value

    def key(self, key: object) -> object:
        """A dict's key; those of omegaconf can be enums."""
        return _scalar_of(key) if type(key) is Record else key

    def record(self, record: Record, depth: int) -> Any:
        state = attributes(record)
        if record.global_.module.partition(".")[0] == "omegaconf":
            for name in ("_content", "_val"):
                if name in state:
                    return self.read(state[name], depth + 1)
        if record.global_.name in ("Namespace", "SimpleNamespace"):
            return self.read(state, depth + 1)
        if record.global_.module == "builtins" and record.global_.name in ("set", "frozenset", "list", "tuple"):
            items = [*(record.args[0] if record.args and type(record.args[0]) is list else ()), *(record.values or ())]
            return self.read(items, depth + 1)
        return _scalar_of(record)


def attributes(record: Record) -> dict[str, object]:
    """The instance attributes that BUILD would set: a dict, or a pair of dicts for classes with slots."""
    parts = record.state if type(record.state) is tuple else (record.state,)
    return {name: value for part in parts if type(part) is dict for name, value in part.items() if type(name) is str}


def _scalar_of(record: Record) -> Any:
    """The value of a numpy scalar, bytes, an enum member or a path; any other record as it is."""
    name, args = record.global_, record.args
    if name in _NUMPY_SCALARS:
        number = _numpy_scalar(args)
        return record if number is None else number
    if name == _ENCODE:
        content = _encoded(record)
        return record if content is None else content
    if name.module.partition(".")[0] == "pathlib" and all(type(part) is str for part in args):
        return "/".join(str(part) for part in args)
    if record.state is None and len(args) == 1 and type(args[0]) in _SCALARS:
        return args[0]  # an enum member: Class(value)
    return record


def _encoded(value: object) -> bytes | None:
    """Bytes, also as protocol 2 writes them: ``_codecs.encode(text, 'latin1')``."""
    if isinstance(value, bytes):
        return value
    if type(value) is Record and value.global_ == _ENCODE and len(value.args) == 2:
        text, codec = value.args
        if isinstance(text, str) and codec in ("latin1", "latin-1") and all(ord(letter) < 256 for letter in text):
            return text.encode("latin-1")
    return None


def _numpy_scalar(args: tuple[object, ...]) -> int | float | bool | None:
    """The number of ``scalar(dtype('i8', False, True), bytes)``; None for other element types."""
    if len(args) != 2 or type(args[0]) is not Record or args[0].global_ != _DTYPE or not args[0].args:
        return None
    content = _encoded(args[1])
    state = args[0].state
    order = ">" if type(state) is tuple and len(state) > 1 and state[1] == ">" else "<"
    code = _NUMPY_FORMATS.get(str(args[0].args[0])[:4])
    if content is None or code is None or struct.calcsize(code) != len(content):
        return None
    number: int | float | bool = struct.unpack(order + code, content)[0]
    return number


_REFERENCE = re.compile(r"\$\{([A-Za-z_][\w.]*)\}")


def resolved(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` with values such as ``"${task.label_rate}"`` replaced by what they name.

    Settings inside that have ``model`` and ``task`` of their own (those of the model that was fine-tuned) are asked
    first. What cannot be found stays as it is written.
    """
    return {key: _resolve(value, (settings,)) for key, value in settings.items()}


def _resolve(value: Any, roots: tuple[Mapping[str, Any], ...]) -> Any:
    if type(value) is dict:
        inner = (value, *roots) if {"model", "task"} <= value.keys() else roots
        return {key: _resolve(item, inner) for key, item in value.items()}
    if type(value) is list:
        return [_resolve(item, roots) for item in value]
    for _ in range(8):  # a reference may name another; a circle ends here
        match = _REFERENCE.fullmatch(value) if type(value) is str else None
        found = [_lookup(root, match[1]) for root in roots] if match else []
        found = [item for item in found if item is not None]
        if not found:
            break
        value = found[0]
    return value


def _lookup(root: Mapping[str, Any], dotted: str) -> Any:
    """The scalar or list that a dotted name leads to, None when there is nothing."""
    value: Any = root
    for name in dotted.split("."):
        value = value.get(name) if type(value) is dict else None
    return None if type(value) is dict else value
