"""Wording of messages: sizes, addresses, reasons, long lists, and text from outside made printable and short.

What comes from a file or a server goes into a message through ``printable`` or ``quoted``. Both cut it before they make
text of it: a name may have a million characters, and a list may contain itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

Item = TypeVar("Item")

_LONGEST_REASON = 300  # characters
_HALVES = re.compile("[\ud800-\udfff]")  # of letters, as which Python has the bytes of a path that are no text
_BYTES = range(0xDC80, 0xDD00)


def printable_address(address: str) -> str:
    """An address without password and query, which may be a signature, so that it may be printed and committed."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def size_text(size: int) -> str:
    """A file's size as people say it, e.g. 378 MB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} B"


def reason_of(error: BaseException) -> str:
    """Why something failed, as the system or the library says it; the name of the error where it says nothing."""
    said = _folded(getattr(error, "strerror", None) or str(error)).rstrip(".")
    return printable(said or type(error).__name__, _LONGEST_REASON)


def first_line(error: BaseException) -> str:
    """The first line of what a library says; the rest are its own places and advice. Its name where it says nothing."""
    said = next((line for line in map(str.strip, str(error).splitlines()) if line), type(error).__name__)
    return printable(said, _LONGEST_REASON)


def cut_off(items: Sequence[Item], most: int) -> tuple[Sequence[Item], int]:
    """Split a list into its first ``most`` items and the number of those left over."""
    return items[:most], max(0, len(items) - most)


def first_of(items: Sequence[str], most: int) -> list[str]:
    """The first ``most`` items, and in the place of the others how many they are."""
    first, left = cut_off(items, most)
    return [*first, f"and {left} more"] if left else [*first]


def listed(items: Sequence[str], most: int) -> str:
    """The first ``most`` items in a row, and in words how many more there are."""
    return ", ".join(first_of(items, most))


def one_line(message: str) -> str:
    """A message on one line, without characters that steer a terminal: parts of it come from outside."""
    return escaped(_folded(message))


def printable(text: str, limit: int = 120) -> str:
    """Text from outside for a message: on one line, without characters that steer a terminal, cut short."""
    return _cut(escaped(text[: limit + 1]), limit)


def quoted(value: object, limit: int = 100) -> str:
    """A value from outside as Python writes it, cut short. What lists and dicts hold is left out."""
    if isinstance(value, str | bytes):
        return _cut(repr(value[: limit + 1]), limit)
    if isinstance(value, int) and value.bit_length() > limit:
        return f"a number of {value.bit_length()} bits"
    if value is None or isinstance(value, int | float):
        return repr(value)
    brackets = {"list": "[...]", "tuple": "(...)", "dict": "{...}"}
    return brackets.get(type(value).__name__, f"a {type(value).__name__}")


def escaped(text: str) -> str:
    """All of a text, with its control characters spelled out: no format carries them, and some terminals obey them."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def as_text(name: str) -> str:
    r"""A name from the system as text that every document can hold: bytes that are no text are spelled out.

    >>> as_text("\udcfcber.wav")
    '\\xfcber.wav'
    """
    return _HALVES.sub(lambda half: _spelled_out(ord(half[0])), name)


def _spelled_out(half: int) -> str:
    return f"\\x{half - 0xDC00:02x}" if half in _BYTES else f"\\u{half:04x}"


def _folded(text: str) -> str:
    return " ".join(map(str.strip, text.splitlines()))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "..."
