"""Shards: what one worker runs at a time, cut by content alone.

Names, machines and the order of a listing change nothing, and one recording more or less changes the shards next to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from aves_convert.sounds.clip import SAMPLE_RATE
from aves_verify.corpus.index import Recording
from aves_verify.corpus.windows import Cutting, Stretch, samples_of, stretches

_LARGEST = 2  # times what a shard has about
_BITS = 64


@dataclass(frozen=True)
class Shard:
    """Stretches that are run together, in an order that their content decides."""

    stretches: tuple[Stretch, ...]
    hours: float  # of sound that is run: what windows share counts once, and what lies between them not at all

    @property
    def windows(self) -> int:
        """How many windows it has."""
        return sum(stretch.count for stretch in self.stretches)

    @cached_property
    def audio(self) -> str:
        """SHA-256 over what is heard in it: not over names or addresses, nor over how long a window is."""
        return joined(content_of(stretch) for stretch in self.stretches)


def cut(recordings: Iterable[Recording], cutting: Cutting) -> tuple[Shard, ...]:
    """Cut recordings into shards of about as many windows as wanted, and never more than twice as many."""
    return tuple(_shards(_ordered(recordings, cutting), cutting))


def audio_digest(shards: Sequence[Shard]) -> str:
    """SHA-256 over all shards' content, in their order."""
    return joined(shard.audio for shard in shards)


def content_of(stretch: Stretch) -> str:
    """What a stretch is known by: its recording's bytes, its place in them, and which copy it is."""
    one = stretch.recording
    return f"{one.sha256 or '-'} {one.begin} {one.frames} {stretch.first} {stretch.count} {stretch.copy}"


def _ordered(recordings: Iterable[Recording], cutting: Cutting) -> list[Stretch]:
    """All stretches, in an order that their content decides; the copies of one are numbered by name."""
    found = []
    counts: dict[tuple[str, int, int], int] = {}
    for recording in sorted(recordings, key=lambda each: each.name):
        same = (recording.sha256, recording.begin, recording.frames)
        copy = counts[same] = counts.get(same, -1) + 1
        found += [replace(stretch, copy=copy) for stretch in stretches(recording, cutting)]
    return sorted(found, key=_place)


def _place(stretch: Stretch) -> tuple[str, int, int, int, int]:
    one = stretch.recording
    return one.sha256, one.begin, one.frames, stretch.first, stretch.copy


def _shards(ordered: Iterable[Stretch], cutting: Cutting) -> Iterator[Shard]:
    held: list[Stretch] = []
    for stretch in ordered:
        if held and sum(map(_weight, held)) + _weight(stretch) > _LARGEST * cutting.shard_windows:
            yield _shard(held, cutting)
            held = []
        held.append(stretch)
        if _ends(stretch, cutting.shard_windows):
            yield _shard(held, cutting)
            held = []
    if held:
        yield _shard(held, cutting)


def _ends(stretch: Stretch, about: int) -> bool:
    """Whether a stretch is the last of its shard, which it alone decides: a large one is it more often."""
    number = int.from_bytes(hashlib.sha256(content_of(stretch).encode()).digest()[: _BITS // 8], "big")
    return number * about < _weight(stretch) << _BITS


def _weight(stretch: Stretch) -> int:
    return max(1, stretch.count)  # a recording that cannot be read takes its time, too


def _shard(held: Sequence[Stretch], cutting: Cutting) -> Shard:
    samples = sum(_heard(stretch, cutting) for stretch in held)
    return Shard(tuple(held), samples / SAMPLE_RATE / 3600)


def _heard(stretch: Stretch, cutting: Cutting) -> int:
    """Samples at 16 kHz that are in a window of a stretch."""
    if stretch.count == 0:
        return 0
    length, hop = cutting.window_samples, cutting.hop_samples
    last = (stretch.first + stretch.count - 1) * hop
    return min(length, hop) * (stretch.count - 1) + min(length, samples_of(stretch.recording) - last)


def joined(lines: Iterable[str]) -> str:
    """SHA-256 over lines, such as the digests of shards in their order."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()
