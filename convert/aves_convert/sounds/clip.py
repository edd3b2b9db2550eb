"""A clip: one piece of audio that every backend is run on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError

SAMPLE_RATE = 16_000  # Hz; the only rate these models are trained at


@dataclass(frozen=True, eq=False)
class Clip:
    """A waveform [samples], mono float32 at 16 kHz, with the name it has in reports.

    The name is unique within one run: a reference signal's, or a file's path. ``source`` is what messages call it: a
    path, "synthesised", by default the name. The array is made read-only. Raises TypeError when it is not
    one-dimensional float32.
    """

    name: str
    waveform: NDArray[np.float32]
    source: str = ""

    def __post_init__(self) -> None:
        waveform = self.waveform
        if waveform.dtype != np.float32 or waveform.ndim != 1:
            raise TypeError(f"{self.name}: expected float32 [samples], found {waveform.dtype} {list(waveform.shape)}")
        if waveform.flags.writeable or not waveform.flags.c_contiguous:
            waveform = waveform.copy()
            waveform.flags.writeable = False
            object.__setattr__(self, "waveform", waveform)
        if not self.source:
            object.__setattr__(self, "source", self.name)

    @property
    def samples(self) -> int:
        """Length in samples."""
        return len(self.waveform)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples / SAMPLE_RATE

    @cached_property
    def sha256(self) -> str:
        """Hash of the samples as little-endian float32: the same audio has the same hash on every machine."""
        return hashlib.sha256(self.waveform.astype("<f4").tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class StoredClip:
    """A clip that is read from its file each time its samples are asked for.

    A thousand recordings need not fit into memory. ``read`` gives the clip; a ``waveform`` that has another length by
    then raises InputError, as does a file that cannot be read any more.
    """

    name: str
    source: str
    samples: int
    read: Callable[[], Clip] = field(repr=False)

    @property
    def waveform(self) -> NDArray[np.float32]:
        """The samples [samples], mono float32 at 16 kHz, read anew."""
        waveform = self.read().waveform
        if len(waveform) != self.samples:
            raise InputError(
                f"{self.source}: changed while it was in use, from {self.samples} samples at 16 kHz to "
                f"{len(waveform)}; run again when nothing writes to it"
            )
        return waveform

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples / SAMPLE_RATE


AnyClip = Clip | StoredClip


def too_short(clip: AnyClip, receptive_field: int) -> str:
    """Tell why a clip gives no frame: it has fewer samples than one frame sees. Empty when it gives one."""
    if clip.samples >= receptive_field:
        return ""
    return (
        f"{clip.source}: {clip.samples} samples at 16 kHz are too short for the model, which needs at least "
        f"{receptive_field} ({receptive_field / SAMPLE_RATE * 1000:g} ms); give a longer clip"
    )
