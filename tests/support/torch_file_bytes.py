"""Files of torch.save made byte by byte, each record of which may lie."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.pickle_bytes import checkpoint, pickled


@dataclass(frozen=True)
class Entry:
    """One entry of an archive; what is not None lies about it."""

    name: str
    content: bytes
    local_name: str | None = None
    local_method: int | None = None
    local_flags: int | None = None
    method: int = 0
    flags: int = 0
    size: int | None = None
    packed: int | None = None
    crc: int | None = None
    offset: int | None = None
    extra: bytes = b""
    central_only: bool = False


@dataclass(frozen=True)
class Archive:
    """Entries and what the end-of-directory record says of them; what is not None lies."""

    entries: tuple[Entry, ...]
    count: int | None = None
    length: int | None = None
    begin: int | None = None
    disk: int = 0
    comment: bytes = b""
    comment_length: int | None = None
    before_end: Callable[[int, int, int], bytes] = field(default=lambda *_: b"")

    def bytes(self) -> bytes:
        out, central = bytearray(), bytearray()
        for entry in self.entries:
            offset = len(out) if entry.offset is None else entry.offset
            packed = len(entry.content) if entry.packed is None else entry.packed
            size = packed if entry.size is None else entry.size
            crc = zlib.crc32(entry.content) if entry.crc is None else entry.crc
            encoded = entry.name.encode()
            if not entry.central_only:
                local = (entry.local_name or entry.name).encode()
                flags = entry.flags if entry.local_flags is None else entry.local_flags
                method = entry.method if entry.local_method is None else entry.local_method
                sizes = struct.pack("<5H3L2H", 0, flags, method, 0, 0, crc, packed, size, len(local), 0)
                out += b"PK\x03\x04" + sizes + local + entry.content
            central += b"PK\x01\x02" + struct.pack("<6H", 0, 0, entry.flags, entry.method, 0, 0)
            central += struct.pack("<3L5H2L", crc, packed, size, len(encoded), len(entry.extra), 0, 0, 0, 0, offset)
            central += encoded + entry.extra
        count, length, begin = len(self.entries), len(central), len(out)
        out += central + self.before_end(count, length, begin)
        count = min(count if self.count is None else self.count, 0xFFFF)
        length = length if self.length is None else self.length
        begin = begin if self.begin is None else self.begin
        comment_length = len(self.comment) if self.comment_length is None else self.comment_length
        out += b"PK\x05\x06" + struct.pack("<4H2LH", self.disk, self.disk, count, count, length, begin, comment_length)
        return bytes(out) + self.comment


SIX_FLOATS = struct.pack("<6f", 1, 2, 3, 4, 5, 6)


STORAGE = Entry("archive/data/0", SIX_FLOATS)


VERSION = Entry("archive/version", b"3\n")


def data_pkl(root: object) -> Entry:
    return Entry("archive/data.pkl", root if isinstance(root, bytes) else pickled(root))


def archive(*entries: Entry, **lies: Any) -> bytes:
    return Archive(entries, **lies).bytes()


def torch_zip(root: object) -> bytes:
    """A zip file of torch.save with one storage, ``0``; ``root`` may be a finished pickle."""
    return archive(data_pkl(root), STORAGE, VERSION)


def with_entries(*entries: Entry, **lies: Any) -> bytes:
    """A valid checkpoint with more entries."""
    return archive(data_pkl(checkpoint()), STORAGE, VERSION, *entries, **lies)


def zip64(count: int, length: int, begin: int, stop: int | None = None) -> bytes:
    """A zip64 end-of-directory record and its locator."""
    at = begin + length if stop is None else stop
    record = b"PK\x06\x06" + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, count, count, length, begin)
    return record + b"PK\x06\x07" + struct.pack("<LQL", 0, at, 1)


def legacy(root: object, keys: object = ("0",), numel: int = 6, content: bytes = SIX_FLOATS, **head: object) -> bytes:
    """A file of torch.save from before zip; ``head`` replaces ``magic``, ``protocol`` or ``little_endian``."""
    magic = head.get("magic", 0x1950A86A20F9469CFC6C)
    system = {"protocol_version": 1001, "little_endian": head.get("little_endian", True), "type_sizes": {}}
    pickles = [magic, head.get("protocol", 1001), system, root, list(keys) if isinstance(keys, tuple) else keys]
    return b"".join(map(pickled, pickles)) + struct.pack("<q", numel) + content
