"""Finding where the entries of an uncompressed zip archive lie in a file, checked before any is used.

``torch.save`` writes plain zip archives: stored, never compressed, one entry after the other. Whatever deviates is
refused, so nothing can unpack to more than the file holds, two entries cannot share bytes, and no two readers can
disagree about what an entry contains. Follows APPNOTE.TXT, sections 4.3 (records) and 4.5.3 (zip64).
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from typing import Any

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import quoted
from aves_convert.pickles.reader import Bytes

LOCAL = b"PK\x03\x04"
MAX_ENTRIES = 1_000_000  # a checkpoint has one for every storage: some hundreds
_CENTRAL, _END, _END64, _LOCATOR64 = b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_ENCRYPTED = 0x0001
_FULL32, _FULL16 = 0xFFFFFFFF, 0xFFFF


@dataclass(frozen=True, slots=True)
class Extent:
    """The bytes ``start`` to ``start + size`` of a file, and the checksum (CRC-32) that the archive has for them."""

    start: int
    size: int
    crc: int


def read_zip_directory(data: Bytes, where: str) -> dict[str, Extent]:
    """List the contents of every entry of the archive ``data``, by name, in the order of the directory.

    Raises InputError where the archive is truncated, compressed, encrypted or inconsistent.
    """
    try:
        begin, end, count = _directory_extent(data)
        entries = _central_entries(data, begin, end, count)
        extents = {}
        taken = []
        for name, header, size, crc in entries:
            start = _content_start(data, header, name)
            if start + size > begin:
                raise ValueError(f"the entry {quoted(name)} reaches past the end of the contents")
            extents[name] = Extent(start, size, crc)
            taken.append((header, start + size, name))
        taken.sort()
        for (_, last, name), (first, _, other) in itertools.pairwise(taken):
            if first < last:
                raise ValueError(f"the entries {quoted(name)} and {quoted(other)} overlap")
    except ValueError as error:
        raise InputError(f"{where}: damaged zip archive: {error}; fetch the file again") from None
    return extents


def _directory_extent(data: Bytes) -> tuple[int, int, int]:
    """First byte, end and number of entries of the central directory."""
    size = len(data)
    last = max(0, size - 22 - _FULL16)
    found = data[last:].rfind(_END)
    if found < 0:
        raise ValueError("it has no directory at its end: the download is incomplete")
    at = last + found
    _, disk, first_disk, _, count, length, begin, comment = _fields("<4s4H2LH", data, at)
    if at + 22 + comment != size:
        raise ValueError("bytes follow its end")
    stop = at
    if at >= 20 and data[at - 20 : at - 16] == _LOCATOR64:
        (stop,) = _fields("<Q", data, at - 12)
        signature, _, _, _, disk, first_disk, _, count, length, begin = _fields("<4sQ2H2L4Q", data, stop)
        if signature != _END64 or stop + 56 > at - 20:
            raise ValueError("its zip64 directory is not where it should be")
    if disk or first_disk:
        raise ValueError("it is one part of several")
    if begin + length > stop:
        raise ValueError("its directory reaches past its end")
    if count > MAX_ENTRIES:
        raise ValueError(f"it has more than {MAX_ENTRIES} entries")
    return begin, begin + length, count


def _central_entries(data: Bytes, at: int, end: int, count: int) -> list[tuple[str, int, int, int]]:
    """Name, position of the local header, size and checksum of every entry."""
    entries = []
    seen = set()
    for _ in range(count):
        fields = _fields("<4s6H3L5H2L", data, at)
        flags, method, crc, packed, size, name_length, extra_length, comment_length = (
            *(fields[3], fields[4], fields[7], fields[8], fields[9]),
            *fields[10:13],
        )
        header = fields[16]
        at += 46
        name = _entry_name(data[at : at + name_length])
        at += name_length
        if _FULL32 in (packed, size, header):
            size, packed, header = _zip64_sizes(data[at : at + extra_length], size, packed, header)
        at += extra_length + comment_length
        if fields[0] != _CENTRAL or at > end:
            raise ValueError("its directory is cut off")
        if flags & _ENCRYPTED:
            raise ValueError(f"the entry {quoted(name)} is encrypted")
        if method or packed != size:
            raise ValueError(f"the entry {quoted(name)} is compressed, which torch.save never does")
        if name.lower() in seen:  # torch looks names up without regard to case
            raise ValueError(f"it has two entries {quoted(name)}")
        seen.add(name.lower())
        entries.append((name, header, size, crc))
    if at != end:
        raise ValueError("its directory holds something else than its entries")
    return entries


def _fields(layout: str, data: Bytes, at: int) -> tuple[Any, ...]:
    """The fields of the record at byte ``at``. Raises ValueError where it does not lie inside ``data``."""
    stop = at + struct.calcsize(layout)
    if stop > len(data):
        raise ValueError("a record reaches past the end of the file")
    return struct.unpack(layout, data[at:stop])


def _entry_name(raw: bytes) -> str:
    name = raw.decode("utf-8", "backslashreplace")
    parts = name.split("/")
    drive = len(parts[0]) == 2 and parts[0][1] == ":"
    if not name or name[0] == "/" or ".." in parts or "\\" in name or drive or min(name) < " ":
        raise ValueError(f"the entry name {quoted(name)} leads outside the archive")
    return name


def _zip64_sizes(extra: bytes, *sizes: int) -> list[int]:
    """``sizes`` with those that did not fit 32 bits taken from the zip64 field of ``extra``."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = _fields("<2H", extra, at)
        at += 4
        if kind == 1:
            wide = iter(_fields(f"<{length // 8}Q", extra, at))
            return [next(wide, _FULL32) if size == _FULL32 else size for size in sizes]
        at += length
    raise ValueError("an entry of more than 4 GB without its size")


def _content_start(data: Bytes, header: int, name: str) -> int:
    """The first byte of the content, after the entry's own header, which must agree with the directory."""
    fields = _fields("<4s5H3L2H", data, header)
    at = header + 30
    if fields[0] != LOCAL or _entry_name(data[at : at + fields[9]]) != name:
        raise ValueError(f"the entry {quoted(name)} is not where the directory says")
    if fields[2] & _ENCRYPTED or fields[3]:
        raise ValueError(f"the entry {quoted(name)} is not stored as the directory says")
    return at + int(fields[9]) + int(fields[10])
