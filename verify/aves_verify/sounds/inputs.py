"""Making the networks' inputs of clips: each by itself, one padded with silence, and several in one batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aves_convert.sounds.clip import SAMPLE_RATE, AnyClip, Clip
from aves_convert.sounds.network_input import network_input
from aves_verify.sounds.naming import PADDED

BATCH = 3
PADDING = SAMPLE_RATE // 2  # samples of silence
_PROBE = 2 * SAMPLE_RATE  # samples at most of a clip that is padded or put into a batch


@dataclass(frozen=True, eq=False)
class Input:
    """A waveform [batch, samples] as the networks take it, under the name that reports give it."""

    name: str
    waveform: NDArray[np.float32] = field(repr=False)
    clip: AnyClip | None = None  # the clip that it is, where it is one
    exactly: bool = True  # whether the answer in float64 is computed, which takes twice as long as all ports


def of_length(clip: AnyClip, samples: int) -> Clip:
    """Cut a clip to so many samples, or repeat it up to them, under its name: for an encoder that takes no others."""
    return Clip(clip.name, np.resize(clip.waveform, samples), clip.source)


def count(clips: Sequence[AnyClip]) -> int:
    """Count the inputs that these clips make."""
    return len(clips) + 2 if clips else 0


def inputs(clips: Sequence[AnyClip], *, receptive_field: int, normalize: bool) -> Iterator[Input]:
    """Make the inputs: every clip, one at a time, then a padded one and a batch.

    Zero-padding changes every frame of these models, so padded input must come out alike too; and rows of a batch must
    be computed apart, by a graph that takes more than one. All clips are at least ``receptive_field`` long.
    """
    for clip in clips:
        yield Input(clip.name, network_input(clip, normalize=normalize), clip)
    if not clips:
        return
    longest = max(clips, key=lambda clip: min(clip.samples, _PROBE))  # the first of those that are long enough
    padded = np.pad(network_input(longest, normalize=normalize)[:, :_PROBE], ((0, 0), (0, PADDING)))
    yield Input(f"{longest.name}{PADDED}", padded)
    yield Input(f"batch of {BATCH}", _batch(clips, longest, receptive_field, normalize=normalize))


def _batch(clips: Sequence[AnyClip], longest: AnyClip, receptive_field: int, *, normalize: bool) -> NDArray[np.float32]:
    """Rows that differ: beginnings of the first clips that are long enough, and turned ones where these are too few."""
    length = max(receptive_field, min(longest.samples, _PROBE) // 2)
    long_enough = (clip for clip in clips if clip.samples >= length)
    rows = (network_input(clip, normalize=normalize)[0, :length].copy() for clip in long_enough)
    # rows of silence could be exchanged without a trace
    audible = list(itertools.islice((row for row in rows if row.any()), BATCH))
    audible = audible or [network_input(longest, normalize=normalize)[0, :length]]
    turned = [row[::-1] for row in audible] + [-row for row in audible]
    return np.ascontiguousarray(np.stack([*audible, *turned][:BATCH]))
