"""Opening files and reading documents that may be anything: nothing waits for ever or fills the memory.

A pipe is waited for without end, a device is read without end: only regular files are opened. JSON and TOML are parsed
so that everything wrong with a text is a ValueError with words: nesting that exhausts the stack, a key that stands
there twice (of which one reader takes the first and another the last), numbers that are none.
"""

from __future__ import annotations

import errno
import itertools
import json
import math
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from aves_artifacts.base.messages import printable, quoted

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_DOCUMENT = 64 << 20  # bytes; reports on a thousand recordings have a few MB
_MAX_DEPTH = 100  # of lists and objects in JSON; those of our documents have ten at most
_MAX_TOML = 256 << 10
# The parser's time grows with the square of the parts of a dotted key: 8,000 of them take a second.
_MAX_DOTS = 32
_BITS = 64  # of whole numbers: sizes and seeds have no more, and Python does not print those of many thousand
_MAX_DIGITS = 21


def open_file(path: Path) -> BinaryIO:
    """Open a regular file for reading, and never wait for a writer. Raises OSError, for pipes and devices too."""
    check_regular(path)
    # What has the name may have changed since: opened so that a pipe does not wait, and looked at again.
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check_regular(os.fstat(number), path)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def check_regular(path: Path) -> None:
    """Raise OSError where a path leads to no regular file: to nothing, a folder, a pipe or a device."""
    _check_regular(os.stat(path), path)


def read_file(path: Path, most: int = MAX_DOCUMENT) -> bytes:
    """Read all of a regular file of at most ``most`` bytes. Raises OSError, for a larger one too."""
    with open_file(path) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most >> 10:,} KiB, which no such document is", str(path))
    return content


def parse_json(document: str | bytes) -> Any:
    """Parse a JSON document in UTF-8. Raises ValueError for everything that is none, duplicate keys included."""
    try:
        text = document.decode("utf-8") if isinstance(document, bytes) else document
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    for word in _values(value):
        if isinstance(word, str) and not word.isascii():
            word.encode()  # a lone surrogate cannot be written again: UnicodeEncodeError is a ValueError
    return value


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a TOML document of at most 256 KiB into its tables. Raises ValueError for everything that is none."""
    if len(text) > _MAX_TOML:
        raise ValueError(f"it has {len(text):,} characters, expected at most {_MAX_TOML:,}")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.count(".") > _MAX_DOTS:
            raise ValueError(f"line {number} has more than {_MAX_DOTS} dots, which no entry needs")
    try:
        entries = tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    for value in _values(entries):
        if isinstance(value, int) and not _fits(value):  # such as a hexadecimal one, of any length
            raise ValueError(f"{quoted(value)} is too large a number")
    return entries


def _check_regular(found: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, expected a file", str(path))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {quoted(twice)} stands there twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{printable(digits)} is too large a number")
    return value


def _whole(digits: str) -> int:
    if len(digits) > _MAX_DIGITS or not _fits(int(digits)):
        raise ValueError(f"{printable(digits)} is too large a number: it has more than {_BITS} bits")
    return int(digits)


def _fits(value: int) -> bool:
    return value.bit_length() <= _BITS


def _values(value: Any) -> Iterator[Any]:
    """Everything in a parsed document, keys too. Raises ValueError where it is nested too deeply."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        yield from level
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return
    raise ValueError("it is nested too deeply")


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return itertools.chain(value.keys(), value.values())
    return value if isinstance(value, list) else ()
