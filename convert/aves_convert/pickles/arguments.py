"""Decoding the arguments of pickle opcodes: numbers, text and byte strings. All raise ValueError."""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Callable

from aves_convert.pickles.records import Global, Record

MAX_INT_BYTES = 255  # what LONG1 can hold; larger numbers only serve to make arithmetic and printing slow
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|[^x0-7])", re.DOTALL)


def memo_number(line: bytes) -> int:
    """Decode the memo number of the opcodes PUT and GET."""
    number = _decimal(line)
    if number < 0:
        raise ValueError("a negative memo number")
    return number


def utf8_text(raw: bytes) -> str:
    """Decode UTF-8 to text that can be printed anywhere: what is not UTF-8 is spelled out."""
    return raw.decode("utf-8", "backslashreplace")


def _byte_string(raw: bytes) -> str | bytes:
    """A ``str`` of Python 2: text where it is text."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


def _quoted(raw: bytes) -> str | bytes:
    line = raw.strip()
    if len(line) < 2 or line[0] != line[-1] or line[:1] not in (b"'", b'"'):
        raise ValueError("a string without quotes")
    return _byte_string(_ESCAPE.sub(lambda match: _unescape(match[1]), line[1:-1]))


def _escaped_line(raw: bytes) -> str:
    text, _ = codecs.raw_unicode_escape_decode(raw[:-1])
    return utf8_text(text.encode("utf-8", "surrogatepass"))


def _unescape(escaped: bytes) -> bytes:
    if escaped[:1] == b"x":
        return bytes([int(escaped[1:], 16)])
    if escaped[:1].isdigit():
        return bytes([int(escaped, 8) & 255])
    return {b"n": b"\n", b"t": b"\t", b"r": b"\r"}.get(escaped, escaped)


def _decimal(raw: bytes) -> int:
    return int(_short(raw, 2 * MAX_INT_BYTES))


def _float_line(raw: bytes) -> float:
    return float(_short(raw, 2 * MAX_INT_BYTES))


def _short(raw: bytes, limit: int) -> bytes:
    if len(raw) > limit:
        raise ValueError("a number of more digits than any checkpoint has")
    return raw


def _int_line(raw: bytes) -> int | bool:
    line = raw.strip()
    return line == b"01" if line in (b"00", b"01") else _decimal(line)


def _binary_long(raw: bytes) -> int:
    return int.from_bytes(_short(raw, MAX_INT_BYTES), "little", signed=True)


# Opcodes that push a value: what they cost of the machine's budget, and the value from the bytes of the argument.
VALUES: dict[str, tuple[int, Callable[[bytes], object]]] = {
    "NONE": (1, lambda _: None),
    "NEWTRUE": (1, lambda _: True),
    "NEWFALSE": (1, lambda _: False),
    "BININT": (1, lambda raw: int.from_bytes(raw, "little", signed=True)),
    "BININT1": (1, lambda raw: raw[0]),
    "BININT2": (1, lambda raw: int.from_bytes(raw, "little")),
    "INT": (1, _int_line),
    "LONG": (1, lambda raw: _decimal(raw.strip().rstrip(b"L"))),
    "LONG1": (1, _binary_long),
    "LONG4": (1, _binary_long),
    "FLOAT": (1, _float_line),
    "BINFLOAT": (1, lambda raw: struct.unpack(">d", raw)[0]),
    "STRING": (3, _quoted),
    "BINSTRING": (3, _byte_string),
    "SHORT_BINSTRING": (3, _byte_string),
    "UNICODE": (3, _escaped_line),
    "BINUNICODE": (3, utf8_text),
    "SHORT_BINUNICODE": (3, utf8_text),
    "BINUNICODE8": (3, utf8_text),
    "BINBYTES": (3, bytes),
    "SHORT_BINBYTES": (3, bytes),
    "BINBYTES8": (3, bytes),
    "BYTEARRAY8": (3, bytes),
    "EMPTY_LIST": (3, lambda _: []),
    "EMPTY_TUPLE": (1, lambda _: ()),
    "EMPTY_DICT": (3, lambda _: {}),
    "EMPTY_SET": (6, lambda _: Record(Global("builtins", "set"))),
}
