"""Tars as WebDataset has them: where each audio member's bytes lie. Nothing is unpacked."""

from __future__ import annotations

import posixpath
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from aves_artifacts.base.messages import as_text, first_line
from aves_convert.sounds.audio import EXTENSIONS

_HEADER = 512
_LARGEST_HEADER = 1 << 20  # bytes; of a name, or of the attributes of one member
_LONGEST_NAME = 4096
_KIND = slice(156, 157)  # where a header says what it is
_ATTRIBUTES, _NAMES = (b"x", b"g", b"X"), (b"L", b"K")
_MOST_ATTRIBUTES = 8  # headers in front of one member: of names and of attributes there is one of each
# Python's own reader before 3.11.10 and 3.12.6 takes a time with the square of these.
_DIGITS = re.compile(rb"[0-9]{1000}")
_LENGTH = re.compile(rb"([1-9][0-9]{0,7}) ")


@dataclass(frozen=True)
class Member:
    """An audio member: its name in the tar, and where its bytes lie. ``reason``: why they cannot be read.

    A member without a name tells what is wrong with the tar itself.
    """

    name: str
    offset: int
    size: int
    reason: str = ""


def is_tar(address: str, stream: BinaryIO) -> bool:
    """Whether a file is a tar: it is called so, or begins as one."""
    if address.lower().endswith(".tar"):
        return True
    stream.seek(0)
    return looks_like_tar(stream.read(_HEADER))


def looks_like_tar(begin: bytes) -> bool:
    """Whether these are the first bytes of a tar."""
    return begin[257:262] == b"ustar"


def members(stream: BinaryIO, size: int) -> Iterator[Member]:
    """The audio members of a tar of so many bytes, in its order. Raises OSError and StoreError as the stream."""
    seen: dict[str, Member] = {}
    counts: dict[str, int] = {}
    end = -1
    stream.seek(0)
    try:
        with tarfile.open(fileobj=_Careful(stream), mode="r:", errorlevel=0) as tar:  # type: ignore[call-overload]
            while (info := tar.next()) is not None:
                tar.members.clear()  # it keeps every one
                if info.size < 0 or tar.offset <= end:  # it would read the same again, for ever
                    raise tarfile.ReadError(f"a member of {info.size:,} bytes")
                end = tar.offset
                name = _clean(info.name)
                if info.isdir() or not name:
                    continue
                found = seen[name] = _member(name, info, seen, size)
                if _is_audio(name):
                    counts[name] = counts.get(name, 0) + 1
                    yield replace(found, name=f"{found.name} ({counts[name]})") if counts[name] > 1 else found
                if end > size + _HEADER:  # where no file reaches, so that not even looking there is possible
                    raise tarfile.ReadError("it ends within a member")
            end = tar.offset
        stream.seek(end)
        if stream.read(_HEADER).strip(b"\0") or end >= size:
            raise tarfile.ReadError("it is damaged or cut off behind its last member")
    except (tarfile.TarError, ArithmeticError, EOFError, LookupError, RecursionError, ValueError) as error:
        yield Member("", 0, 0, f"damaged, or not a tar: {first_line(error)}; copy the tar again")


def _member(name: str, info: tarfile.TarInfo, seen: dict[str, Member], size: int) -> Member:
    """A member, or of a link what it leads to."""
    if len(name) > _LONGEST_NAME:
        reason = f"its name has {len(name):,} characters; expected at most {_LONGEST_NAME:,}"
        return Member(name[:_LONGEST_NAME], 0, 0, reason)
    if info.islnk() or info.issym():
        folder = posixpath.dirname(name) if info.issym() else ""
        target = seen.get(_clean(posixpath.join(folder, info.linkname)))
        if target is None:
            return Member(name, 0, 0, "a link to what does not come before it in the tar; give the file itself")
        return replace(target, name=name)
    if not info.isreg() or info.issparse():
        return Member(name, 0, 0, "not a plain file in the tar; give a file without holes")
    if info.offset_data + info.size > size:
        left = max(0, size - info.offset_data)  # it may claim more than any table has room for
        return Member(name, info.offset_data, left, "the tar ends within it; copy the tar again")
    return Member(name, info.offset_data, info.size)


class _Careful:
    """A stream as tarfile reads it: what a header says is believed within limits of size, number and form."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.tell, self.seek = stream.tell, stream.seek
        self._kind = b""  # of the header that was read last
        self._in_a_row = 0  # headers in front of a member

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {count:,} bytes")
        content = self._stream.read(count)
        if count == _HEADER:
            self._kind = content[_KIND]
            self._in_a_row = self._in_a_row + 1 if self._kind in (*_ATTRIBUTES, *_NAMES) else 0
            if self._in_a_row > _MOST_ATTRIBUTES:  # each of them is held in memory until the member comes
                raise tarfile.ReadError(f"more than {_MOST_ATTRIBUTES} headers in front of one member")
        elif self._kind in _ATTRIBUTES:
            _check_attributes(content)
        return content


def _check_attributes(content: bytes) -> None:
    """Raise ReadError for what is no row of attributes, each with its length in front and within that its name."""
    at = 0
    while at < len(content) and content[at]:
        length = _LENGTH.match(content, at)
        end = at + int(length[1]) if length else 0
        if not length or end > len(content) or content[end - 1 : end] != b"\n" or content.find(b"=", at, end) < 0:
            raise tarfile.ReadError("attributes of a member that are none")
        at = end
    if _DIGITS.search(content):
        raise tarfile.ReadError("a number of a thousand digits")


def _clean(name: str) -> str:
    """A member's name without what does not matter in it, as text."""
    text = as_text(name)
    return posixpath.normpath(text).lstrip("/").removeprefix("./") if text else ""


def _is_audio(name: str) -> bool:
    hidden = any(part.startswith(".") and part != ".." for part in name.split("/"))
    return not hidden and posixpath.splitext(name)[1].lower() in EXTENSIONS
