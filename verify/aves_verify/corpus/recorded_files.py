"""Recordings as libsndfile reads them from any stream: a file here, an object of a store, a member of a tar."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import soundfile

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import reason_of
from aves_artifacts.base.quiet import quiet
from aves_convert.sounds.audio import SoundFile, explained
from aves_verify.corpus.addresses import StoreError

# Of these libsndfile gives the same samples after a seek as when it decodes from the start.
_EXACT = frozenset({"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "VORBIS"})
# Of this it finds the sample, and decodes it the same but for the last bits of float32, once it is under way.
_SETTLING = "MPEG_LAYER_III"
_BLOCK = 1 << 20
_SKIPPED = 1 << 18  # values at a time


@contextmanager
def sound_in(stream: BinaryIO, offset: int, size: int, name: str, *, mp3: bool) -> Iterator[SoundFile]:
    """The sound in so many bytes of a stream from ``offset`` on, open while the block runs.

    ``mp3``: whether it is called so, which libsndfile goes by where such a file begins with something else. Raises
    InputError as ``read_clip`` for what is no sound, in the block too; where the bytes do not come OSError and
    StoreError as the stream, and StoreError where this machine lacks what decoding takes.
    """
    part = Part(stream, offset, size)
    try:
        with explained(name), _of_this_machine(name), quiet(), _opened(part, mp3) as file:
            yield file
    except InputError:
        part.tell_of_error()
        raise
    part.tell_of_error()


@contextmanager
def _of_this_machine(name: str) -> Iterator[None]:
    """Raise StoreError for what the system refuses, such as room for a copy: the recording's bytes come by ``Part``."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{name}: cannot be decoded here: {reason_of(error)}") from error


def is_exact(kind: str) -> bool:
    """Whether the samples of such a recording are the same after a seek as when all before them is decoded."""
    return kind.partition(" ")[2] in _EXACT


def skip_to(file: SoundFile, frame: int, kind: str) -> None:
    """Have a file that was just opened stand at a frame, without decoding all before it where that can be."""
    if is_exact(kind) or kind.endswith(_SETTLING):
        if frame:
            file.seek(frame)
        return
    left, most = frame, max(1, _SKIPPED // file.channels)
    while left > 0 and (got := len(file.read(min(left, most), dtype="float32"))):
        left -= got


def kind_of(file: SoundFile) -> str:
    """The format as libsndfile has it, such as ``WAV PCM_16``."""
    return f"{file.format} {file.subtype}"


class Part:
    """Bytes of a stream as a file of their own, from which libsndfile reads.

    What goes wrong is kept: an exception cannot pass through libsndfile, to which it is the end of the file.
    """

    def __init__(self, stream: BinaryIO, offset: int, size: int) -> None:
        self._stream, self._offset, self._size = stream, offset, size
        self._at = 0
        self.error: Exception | None = None

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Stand at another byte, and return which."""
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        """The byte that is next."""
        return self._at

    def read(self, count: int) -> bytes:
        """The next bytes, at most ``count``; none after something went wrong."""
        wanted = max(0, min(count, self._size - self._at))
        try:
            if self.error is not None or wanted == 0:
                return b""
            self._stream.seek(self._offset + self._at)
            content = self._stream.read(wanted)
        except Exception as error:
            self.error = error
            return b""
        self._at += len(content)
        return content

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes into a buffer; return how many they are."""
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def tell_of_error(self) -> None:
        """Raise what went wrong, if something did."""
        if self.error is not None:
            raise self.error from None


@contextmanager
def _opened(part: Part, mp3: bool) -> Iterator[SoundFile]:
    try:
        file = SoundFile(part)
    except soundfile.SoundFileError:
        if not mp3:
            raise
    else:
        with file:
            yield file
        return
    with tempfile.NamedTemporaryFile(suffix=".mp3") as copy:
        part.seek(0)
        while block := part.read(_BLOCK):
            copy.write(block)
        copy.flush()
        with SoundFile(copy.name) as file:
            yield file
