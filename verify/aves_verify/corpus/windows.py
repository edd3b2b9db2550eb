"""Windows: what a recording is cut into to be run, and how they are read.

A recording is cut at 16 kHz, where a frame at its own rate and a sample at 16 kHz begin together every so often, at
least once in a second. A stretch of it is decoded from such a frame on, a second before its first window, and to a
second behind its last: by then neither the resampler's filter nor an MP3's decoder has to do with what was left out.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import reason_of
from aves_convert.sounds.audio import MAX_SECONDS, read_mono
from aves_convert.sounds.clip import SAMPLE_RATE, Clip
from aves_verify.corpus.addresses import WHOLE, StoreError, open_at, refusal
from aves_verify.corpus.index import Recording
from aves_verify.corpus.listing import seconds_text
from aves_verify.corpus.recorded_files import is_exact, skip_to, sound_in

_CONTEXT = SAMPLE_RATE  # samples on both sides of a stretch
_SHORTEST, _LONGEST_HOP = 1e-3, 1e6  # seconds
_MOST_WINDOWS = 1 << 16

_kept: tuple[tuple[str, int | None, str], bytes] | None = None  # the recording that was read last, as it is stored


class ChangedError(InputError):
    """A recording is not, or not any more, what the index says of it: of another one no part of this name is made."""


@dataclass(frozen=True)
class Cutting:
    """How recordings are cut: windows of ``window`` seconds, one every ``hop`` seconds.

    A shard has about ``shard_windows`` of them. Raises InputError for what is none.
    """

    window: float = 10.0
    hop: float = 10.0
    shard_windows: int = 32

    def __post_init__(self) -> None:
        if not _SHORTEST <= self.window <= MAX_SECONDS:
            raise InputError(
                f"a window of {self.window:g} seconds", hint=f"give {{window}} from {_SHORTEST:g} to {MAX_SECONDS}"
            )
        if not _SHORTEST <= self.hop <= _LONGEST_HOP:
            raise InputError(
                f"a window every {self.hop:g} seconds", hint=f"give {{hop}} from {_SHORTEST:g} to {_LONGEST_HOP:,.0f}"
            )
        if not 1 <= self.shard_windows <= _MOST_WINDOWS:
            raise InputError(
                f"shards of {self.shard_windows} windows", hint=f"give {{shard_windows}} from 1 to {_MOST_WINDOWS:,}"
            )

    @property
    def window_samples(self) -> int:
        """A window's samples at 16 kHz."""
        return round(self.window * SAMPLE_RATE)

    @property
    def hop_samples(self) -> int:
        """From one window's first sample to the next one's, at 16 kHz."""
        return round(self.hop * SAMPLE_RATE)

    @property
    def stretch_windows(self) -> int:
        """The most windows that are read together: they span 5 minutes, and are no more than a shard has."""
        within = (MAX_SECONDS * SAMPLE_RATE - self.window_samples) // self.hop_samples + 1
        return min(within, self.shard_windows)


@dataclass(frozen=True)
class Stretch:
    """Consecutive windows of one recording, which are read together: ``count`` of them from the one numbered ``first``.

    None at all where the recording cannot be read. ``copy`` tells apart what has the same content.
    """

    recording: Recording
    first: int
    count: int
    copy: int = 0


@dataclass(frozen=True)
class Window:
    """A clip with its place: ``start`` is its first sample's number in the recording, at 16 kHz."""

    name: str
    clip: Clip
    start: int


def samples_of(recording: Recording) -> int:
    """How many samples a recording has at 16 kHz, to the one that the resampler gives."""
    rate = recording.rate
    return (2 * recording.frames * SAMPLE_RATE + rate) // (2 * rate) if rate else 0


def windows_of(recording: Recording, cutting: Cutting) -> int:
    """How many windows a recording has. The last may be shorter, and none holds nothing but what the one before has."""
    samples = samples_of(recording)
    if recording.reason or samples == 0:
        return 0
    to_reach_the_end = -(-max(0, samples - cutting.window_samples) // cutting.hop_samples) + 1
    return min(to_reach_the_end, -(-samples // cutting.hop_samples))


def stretches(recording: Recording, cutting: Cutting) -> Iterator[Stretch]:
    """Cut a recording into stretches; one of no windows where it cannot be read, or has no sample at 16 kHz."""
    windows, most = windows_of(recording, cutting), cutting.stretch_windows
    if windows == 0:
        yield Stretch(recording, 0, 0)
    for first in range(0, windows, most):
        yield Stretch(recording, first, min(most, windows - first))


def read_windows(stretch: Stretch, cutting: Cutting) -> Iterator[Window]:
    """Read a stretch and give its windows, in order. A recording of one window is what ``read_clip`` gives of it.

    Raises InputError with the reason where it cannot be read, which its bytes alone decide; ChangedError where these
    are gone or others, and StoreError where the store does not answer.
    """
    recording = stretch.recording
    if recording.reason:
        raise InputError(recording.reason)
    if stretch.count == 0:
        raise InputError(f"{recording.name}: holds no samples at 16 kHz; give a longer recording")
    first, total = stretch.first * cutting.hop_samples, samples_of(recording)
    last = (stretch.first + stretch.count - 1) * cutting.hop_samples
    end = min(total, last + cutting.window_samples)
    waveform = _samples(recording, first, end)
    is_alone = windows_of(recording, cutting) == 1
    for start in range(first, last + 1, cutting.hop_samples):
        name = recording.name if is_alone else f"{recording.name} @ {seconds_text(start / SAMPLE_RATE)} s"
        samples = waveform[start - first : start - first + cutting.window_samples]
        yield Window(name, Clip(name, samples), start)


@dataclass(frozen=True)
class Unreadable:
    """A window, or a whole recording, that cannot be read; ``start`` is its first sample's number at 16 kHz."""

    start: int
    reason: str


def windows_or_reasons(stretch: Stretch, cutting: Cutting) -> Iterator[Window | Unreadable]:
    """Read a stretch as ``read_windows`` does, and tell why where that cannot be: of several windows each is tried.

    Raises ChangedError and StoreError, which say nothing of the recording that is meant.
    """
    try:
        yield from read_windows(stretch, cutting)
    except (ChangedError, StoreError):  # what is found follows from the bytes alone
        raise
    except InputError as error:
        if stretch.count <= 1:
            yield Unreadable(stretch.first * cutting.hop_samples, reason_of(error))
            return
        for first in range(stretch.first, stretch.first + stretch.count):
            yield from windows_or_reasons(replace(stretch, first=first, count=1), cutting)


def _samples(recording: Recording, first: int, end: int) -> NDArray[np.float32]:
    """A recording's samples [end - first] at 16 kHz. Raises InputError and StoreError."""
    span, begins = _span(recording, first, end)
    try:
        with _stored(recording) as (stream, offset):
            mp3 = recording.kind.startswith("MP3")
            with sound_in(stream, offset, recording.size, recording.name, mp3=mp3) as file:
                skip_to(file, span.start, recording.kind)
                mono = read_mono(file, recording.name, span)
    except OSError as error:
        raise _gone(error, recording.name) from None
    waveform = mono[first - begins : end - begins].astype(np.float32)
    waveform.flags.writeable = False  # windows are views of it
    return waveform


def _span(recording: Recording, first: int, end: int) -> tuple[range, int]:
    """The frames to decode for these samples, and which sample at 16 kHz the first of them is."""
    rate, frames = recording.rate, recording.frames
    if rate == SAMPLE_RATE and is_exact(recording.kind):  # nothing has to settle
        low, high, begins = first, end, first
    else:
        divisor = math.gcd(rate, SAMPLE_RATE)
        meeting = max(0, first - _CONTEXT) // (SAMPLE_RATE // divisor)
        low, begins = meeting * (rate // divisor), meeting * (SAMPLE_RATE // divisor)
        high = min(frames, -(-(end + _CONTEXT) * rate // SAMPLE_RATE))
    return range(recording.begin + low, recording.begin + high), begins


@contextmanager
def _stored(recording: Recording) -> Iterator[tuple[BinaryIO, int]]:
    """A stream with the recording's bytes, and where in it they begin.

    Raises ChangedError where they are others, and OSError and StoreError where they do not come, as the stream does.
    """
    global _kept
    key = (recording.address, recording.offset, recording.sha256)
    kept = _kept
    if kept is not None and kept[0] == key:
        yield io.BytesIO(kept[1]), 0
        return
    changed = f"{recording.name}: changed since it was indexed; run again when nothing writes to it"
    offset = recording.offset or 0
    with open_at(recording.address) as stream:
        if recording.size > WHOLE:
            if recording.offset is None and stream.seek(0, io.SEEK_END) != recording.size:
                raise ChangedError(changed)
            yield stream, offset
            return
        stream.seek(offset)
        content = stream.read(recording.size + (recording.offset is None))
    if hashlib.sha256(content).hexdigest() != recording.sha256:
        raise ChangedError(changed)
    _kept = key, content
    yield io.BytesIO(content), 0


def _gone(error: OSError, name: str) -> InputError:
    """What to raise for bytes that were there when the recording was indexed: this machine may not see them."""
    found = refusal(error, name)
    return found if isinstance(found, StoreError) else ChangedError(f"{found}; it could be read when it was indexed")
