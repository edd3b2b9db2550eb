"""An index: each recording of a corpus with its hash, its format and its length."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, BinaryIO

import soundfile

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import reason_of
from aves_convert.sounds.audio import SoundFile, rate_of
from aves_verify.corpus.addresses import WHOLE, StoreError, is_local, open_at, refusal
from aves_verify.corpus.listing import Entry
from aves_verify.corpus.recorded_files import is_exact, kind_of, sound_in
from aves_verify.corpus.tars import is_tar, members

_BLOCK = 1 << 20
_COUNTED = 1 << 18  # values at a time
_NO_LENGTH = 1 << 62  # libsndfile's word for a length that no header tells
_KEPT = 16  # files of which it is known what they are
_SLACK = 1.0  # seconds by which a manifest's rounded duration may reach beyond the recording


@dataclass(frozen=True)
class Recording:
    """One recording: where its bytes lie, what they are, and the frames of it that are meant.

    ``offset`` and ``size`` in bytes are of a member in a tar; without an offset it is the whole file. ``sha256`` is of
    its bytes, empty where they cannot be read. ``kind`` is libsndfile's format, ``rate`` in Hz; the frames from
    ``begin`` on are at that rate. ``reason``: why it cannot be read at all, in one line; else empty.
    """

    name: str
    address: str
    offset: int | None
    size: int
    sha256: str
    kind: str
    rate: int
    channels: int
    begin: int
    frames: int
    reason: str = ""


_Whole = tuple[Recording, int]  # a whole recording, and how many frames there are
_files: dict[tuple[str, int, str], _Whole] = {}  # that segments were taken of last, by address and version


def index_block(entries: Sequence[Entry]) -> tuple[Recording, ...]:
    """Read each file once, for its hash and its header: one recording each, and of a tar one for each audio member.

    What is damaged, empty, forbidden or gone is a recording with a reason. Raises StoreError where a store does not
    answer: that says nothing of a recording.
    """
    return tuple(recording for entry in entries for recording in _recordings(entry))


def _recordings(entry: Entry) -> Iterator[Recording]:
    blank = Recording(entry.name, entry.address, None, entry.size, "", "", 0, 0, 0, 0)
    try:
        with open_at(entry.address) as stream:
            size = stream.seek(0, io.SEEK_END)
            if entry.version and _is_another(entry, stream, size):
                yield _refused(blank, "changed since it was listed; run again when nothing writes to it")
            elif is_tar(entry.address, stream):
                if entry.begin or entry.duration is not None:
                    yield _refused(blank, "a segment of a tar; name the tar alone")
                    return
                yield from _in_tar(blank, stream, size)
            else:
                yield _in_file(entry, replace(blank, size=size), stream)
    except OSError as error:
        refused = refusal(error, entry.name)
        if isinstance(refused, StoreError):
            raise refused from None
        yield replace(blank, reason=str(refused))


def _is_another(entry: Entry, stream: BinaryIO, size: int) -> bool:
    """Whether a file has changed since it was listed; of one in a store the size alone tells."""
    return size != entry.size or (
        is_local(entry.address) and str(os.fstat(stream.fileno()).st_mtime_ns) != entry.version
    )


def _in_file(entry: Entry, blank: Recording, stream: BinaryIO) -> Recording:
    """The recording that is a file, or a segment: of one file, of any size, a manifest may have any number of them."""
    is_segment = bool(entry.begin) or entry.duration is not None
    key = entry.address, entry.size, entry.version
    found = _files.get(key) if is_segment and entry.version else None
    if found is None:
        found = _measured(blank, stream, entry.address)
    if is_segment:
        _files[key] = found
        while len(_files) > _KEPT:
            del _files[next(iter(_files))]
    return _named(found, entry.name, entry.begin, entry.duration)


def _in_tar(blank: Recording, stream: BinaryIO, size: int) -> Iterator[Recording]:
    """The recordings in a tar. Where it is damaged, what comes before is still read."""
    count = 0
    measured: dict[tuple[int, int, bool], _Whole] = {}  # a member may have any number of links to it
    for member in members(stream, size):
        count += 1
        found = replace(blank, name=f"{blank.name}/{member.name}", offset=member.offset, size=member.size)
        same = member.offset, member.size, _is_mp3(member.name)
        if member.reason:
            yield _refused(found, member.reason) if member.name else _refused(blank, member.reason)
        else:
            if same not in measured:
                measured[same] = _measured(found, stream, member.name)
            yield _named(measured[same], found.name)
    if count == 0:
        yield _refused(blank, "no audio in this tar; expected members that end in .wav, .flac, .ogg or .mp3")


def _measured(found: Recording, stream: BinaryIO, called: str) -> _Whole:
    """A recording with its hash and its header, and how many frames there are.

    Raises OSError and StoreError where its bytes do not come.
    """
    offset = found.offset or 0
    stream.seek(offset)
    if found.size <= WHOLE:
        content = stream.read(found.size)
        digest = hashlib.sha256(content)
        stream, offset, length = io.BytesIO(content), 0, len(content)
    else:
        digest, length = hashlib.sha256(), 0
        while block := stream.read(min(_BLOCK, found.size - length)):
            digest.update(block)
            length += len(block)
    found = replace(found, sha256=digest.hexdigest())
    if length < found.size:
        return _refused(found, "changed while it was read; run again when nothing writes to it"), 0
    if length == 0:
        return _refused(found, "the file is empty; give an audio file"), 0
    try:
        return _with_header(found, stream, offset, _is_mp3(called))
    except StoreError:
        raise
    except InputError as error:
        return replace(found, reason=str(error)), 0


def _named(measured: _Whole, name: str, begin: float = 0.0, duration: float | None = None) -> Recording:
    """What was measured under a name, and of it the frames that are meant."""
    whole, frames = measured
    found = replace(whole, name=name, reason=whole.reason.replace(whole.name, name, 1))
    return found if found.reason else _segment(found, frames, begin, duration)


def _is_mp3(name: str) -> bool:
    return name.lower().endswith(".mp3")


def _with_header(found: Recording, stream: BinaryIO, offset: int, mp3: bool) -> _Whole:
    """The recording with its format, and how many frames the file has. Raises InputError."""
    with sound_in(stream, offset, found.size, found.name, mp3=mp3) as file:
        rate, kind, claimed = rate_of(file, found.name), kind_of(file), int(file.frames)
        found = replace(found, kind=kind, rate=rate, channels=int(file.channels))
        is_right = 0 < claimed < _NO_LENGTH and is_exact(kind) and _ends_at(file, claimed)
    if not is_right:  # a pipe's header, a file cut off, or one whose length is not written
        with sound_in(stream, offset, found.size, found.name, mp3=mp3) as file:
            claimed = _counted(file)
    return found, claimed


def _segment(found: Recording, total: int, start: float, duration: float | None) -> Recording:
    """The recording with the frames that are meant, of so many that there are."""
    if total == 0:
        return _refused(found, "holds no samples; give a recording")
    begin = round(start * found.rate)
    end = total if duration is None else begin + max(1, round(duration * found.rate))
    if begin >= total or end > total + _SLACK * found.rate:
        length = total / found.rate
        return _refused(
            found,
            f"the recording has {length:g} s, and the segment is to begin at {start:g} s and to "
            f"end at {end / found.rate:g} s; correct the manifest",
        )
    return replace(found, begin=begin, frames=min(end, total) - begin)


def _ends_at(file: SoundFile, frames: int) -> bool:
    try:
        file.seek(frames - 1)
        return len(file.read(2, dtype="float32", always_2d=True)) == 1
    except soundfile.SoundFileError:
        return False


def _counted(file: SoundFile) -> int:
    count, most = 0, max(1, _COUNTED // file.channels)
    while got := len(file.read(most, dtype="float32", always_2d=True)):
        count += got
    return count


def _refused(found: Recording, reason: str) -> Recording:
    return replace(found, reason=f"{found.name}: {reason}")


def to_table(recordings: Sequence[Recording]) -> bytes:
    """The recordings as a Parquet file, the same bytes for the same recordings."""
    import pyarrow
    import pyarrow.parquet

    columns = {each.name: [getattr(one, each.name) for one in recordings] for each in fields(Recording)}
    columns["address"] = [address.encode("utf-8", "surrogateescape") for address in columns["address"]]
    table = pyarrow.table(columns, schema=_schema())
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue())


def from_table(content: bytes) -> tuple[Recording, ...]:
    """Read back what ``to_table`` has written. Raises InputError for anything else."""
    import pyarrow
    import pyarrow.parquet

    try:
        source = pyarrow.BufferReader(content)
        table = pyarrow.parquet.read_table(source, page_checksum_verification=True)
        if not table.schema.equals(_schema()):
            raise ValueError("its columns are others")
        rows = table.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"an index of recordings is damaged: {reason_of(error)}") from None
    return tuple(Recording(**row | {"address": row["address"].decode("utf-8", "surrogateescape")}) for row in rows)


def _schema() -> Any:
    import pyarrow

    types = {"str": pyarrow.string(), "int": pyarrow.int64(), "int | None": pyarrow.int64()}
    # A path may hold bytes that are no text.
    made = {each.name: types[str(each.type)] for each in fields(Recording)} | {"address": pyarrow.binary()}
    return pyarrow.schema([pyarrow.field(name, kind, nullable=name == "offset") for name, kind in made.items()])
