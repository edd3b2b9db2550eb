"""Turning settings in a checkpoint into plain values: omegaconf nodes, namespaces, enums, numpy scalars.

Records are read by their names and states alone; what is not known stays a record. The result is a tree without cycles,
of limited depth and size, so whoever prints or walks it needs no care.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aves_convert.pickles.records import Global, Record

MAX_DEPTH = 40
MAX_STEPS = 1_000_000  # of following references such as "${task.label_rate}"; genuine settings have some dozens
MAX_SIZE = 200_000  # values in the settings of one checkpoint; genuine ones have some hundreds

_SCALARS = (type(None), bool, int, float, str, bytes)
_ENCODE = Global("_codecs", "encode")
_DTYPE = Global("numpy", "dtype")
_NUMPY_SCALARS = (Global("numpy.core.multiarray", "scalar"), Global("numpy._core.multiarray", "scalar"))
# Of a path, and of text that is copied: a stream can mention one text many times.
_MAX_PARTS, _MAX_TEXT = 100, 4096
_NUMPY_FORMATS = dict(
    zip(
        ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"], "?bhiqBHIQefd", strict=True
    )  # numpy's code, struct's code
)


def plain(value: object) -> Any:
    """Turn ``value`` and every known record in it into dicts, lists, numbers and strings.

    Raises ValueError when the value contains itself, or is deeper or larger than any settings are.
    """
    return _Reader(MAX_SIZE).read(value, 0)


@dataclass
class _Reader:
    """Counts what it reads: a value that is mentioned twice is read twice, so the result is as large as it looks."""

    left: int

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
        """A record's value where its class is known."""
        module, name = record.global_.module.partition(".")[0], record.global_.name
        if module == "omegaconf":
            for attribute in ("_content", "_val"):
                if has_attribute(record, attribute):
                    return self.read(attribute_of(record, attribute), depth + 1)
        if name in ("Namespace", "SimpleNamespace") and type(record.state) is dict:
            return self.read(record.state, depth)
        if module == "builtins" and name in ("set", "frozenset") and len(record.args) <= 1:
            parts = [part for part in (*record.args, record.values) if type(part) in (list, tuple)]
            return [item for part in parts for item in self.read(part, depth)]
        return _scalar_of(record)


def has_attribute(record: Record, name: str) -> bool:
    """Whether unpickling would set the instance attribute ``name``."""
    return any(type(part) is dict and name in part for part in _states(record))


def attribute_of(record: Record, name: str) -> object:
    """The instance attribute that unpickling would set; None where it would set none."""
    return next((part[name] for part in _states(record) if type(part) is dict and name in part), None)


def _states(record: Record) -> tuple[object, ...]:
    """The dicts of attributes: one, or a pair for classes with slots."""
    state = record.state
    return state if isinstance(state, tuple) and len(state) == 2 else (state,)


def _scalar_of(record: Record) -> Any:
    """The value of a numpy scalar, bytes, an enum member or a path; any other record as it is."""
    name, args = record.global_, record.args
    if name in _NUMPY_SCALARS:
        number = _numpy_scalar(args)
        return record if number is None else number
    if name == _ENCODE:
        content = _encoded(record)
        return record if content is None else content
    if name.module.partition(".")[0] == "pathlib":
        path = _path(args)
        return record if path is None else path
    if record.state is None and len(args) == 1 and type(args[0]) in _SCALARS:
        return args[0]  # an enum member: Class(value)
    return record


def _path(parts: tuple[object, ...]) -> str | None:
    """``PosixPath('/', 'data', 'train')`` as text."""
    texts = [part for part in parts[:_MAX_PARTS] if isinstance(part, str)]
    if len(texts) < len(parts) or sum(map(len, texts)) > _MAX_TEXT:
        return None
    return "/".join(texts).replace("//", "/", 1)


def _encoded(value: object) -> bytes | None:
    """Bytes, also as protocol 2 writes them: ``_codecs.encode(text, 'latin1')``."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, Record) and value.global_ == _ENCODE and len(value.args) == 2:
        text, codec = value.args
        if isinstance(text, str) and len(text) <= _MAX_TEXT and codec == "latin1" and all(ord(x) < 256 for x in text):
            return text.encode("latin-1")
    return None


def _numpy_scalar(args: tuple[object, ...]) -> int | float | bool | None:
    """The number of ``scalar(dtype('i8', False, True), bytes)``; None for other element types."""
    if len(args) != 2 or not isinstance(args[0], Record) or args[0].global_ != _DTYPE or not args[0].args:
        return None
    content, kind, state = _encoded(args[1]), args[0].args[0], args[0].state
    code = _NUMPY_FORMATS.get(kind) if isinstance(kind, str) else None
    if content is None or code is None or struct.calcsize(code) != len(content):
        return None
    order = ">" if isinstance(state, tuple) and state[1:2] == (">",) else "<"
    number: int | float | bool = struct.unpack(order + code, content)[0]
    return number


_REFERENCE = re.compile(r"\$\{([A-Za-z_][\w.]*)\}")


def resolved(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Replace values such as ``"${task.label_rate}"`` in ``settings`` by what they refer to.

    Settings inside that have ``model`` and ``task`` of their own (those of the model that was fine-tuned) are asked
    first. What cannot be found stays as it is written.
    """
    return _Resolver(MAX_STEPS).resolve(dict(settings), ())  # type: ignore[no-any-return]


@dataclass
class _Resolver:
    """Counts its steps: references may lead to references, through settings of any depth."""

    left: int

    def resolve(self, value: Any, roots: tuple[Mapping[str, Any], ...]) -> Any:
        if type(value) is dict:
            inner = (value, *roots) if not roots or {"model", "task"} <= value.keys() else roots
            return {key: self.resolve(item, inner) for key, item in value.items()}
        if type(value) is list:
            return [self.resolve(item, roots) for item in value]
        for _ in range(8):  # a reference may name another; a circle ends here
            match = _REFERENCE.fullmatch(value) if type(value) is str and len(value) < 200 else None
            found = self.lookup(roots, match[1]) if match else None
            if found is None:
                break
            value = found
        return value

    def lookup(self, roots: tuple[Mapping[str, Any], ...], dotted: str) -> Any:
        """The scalar that a dotted name leads to, in the innermost settings that have it; None when there is none."""
        for root in roots:
            value: Any = root
            for name in dotted.split("."):
                self.left -= 1
                if self.left < 0:
                    raise ValueError("the settings refer to each other more often than those of any checkpoint")
                value = value.get(name) if type(value) is dict else None
                if value is None:
                    break
            else:
                if type(value) in _SCALARS:
                    return value
        return None
