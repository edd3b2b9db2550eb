"""Inputs drawn anew for every run: what is always the same can be passed by a port that knows nothing else.

Lengths, batches, levels and offsets come from a seed, which reports tell; the same seed draws the same inputs. Names do
not depend on it, so that two reports can be compared.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.encoder import EncoderConfig, encoder_shapes
from aves_convert.sounds.clip import SAMPLE_RATE, Clip
from aves_convert.sounds.network_input import network_input
from aves_convert.sounds.signals import ORDINARY
from aves_verify.sounds.inputs import Input

_FEW = 40  # frames of most probes, at most: they show what a long one shows, at a hundredth of its time
_BATCH = (4, 8)
_QUIET = (1e-7, 1e-4)  # full scale is 1; one step of 24 bits is 1.2e-7
_LOUD = (20.0, 200.0)  # float recordings without a scale
_OFFSET = (0.4, 0.9)
_TONES = 4
# Frames of the long probe: over 1,024, as long as tables in graphs often are, and a minute at most.
_LONG = (1025, 3000)
_COST = 1.05e11  # weights times frames of it, where that allows more: 1,110 frames of a base encoder


@dataclass(frozen=True)
class Kind:
    """What is drawn for one probe."""

    name: str
    frames: tuple[int, int]  # at least, at most
    batch: tuple[int, int] = (1, 1)
    level: tuple[float, float] = (0.02, 0.3)  # RMS, drawn by its logarithm
    offset: tuple[float, float] = (0.0, 0.0)


KINDS = (
    Kind("probe: one frame", (1, 1)),
    Kind("probe: some frames", (2, _FEW)),
    Kind("probe: batch", (2, 12), batch=_BATCH),
    Kind("probe: quiet", (8, _FEW), level=_QUIET),
    Kind("probe: loud", (8, _FEW), level=_LOUD),
    Kind("probe: offset", (8, _FEW), offset=_OFFSET),
    Kind("probe: offset below", (8, _FEW), offset=(-_OFFSET[1], -_OFFSET[0])),
)
LONG = "probe: long"
# Between calls it is silent, and there all is lost that a sum over the offset loses: noise hides the same.
CALLS = "probe: calls on an offset"
_CALLS = ("frog", "crickets", "bark")
_UNDER_CALLS = (0.05, 0.3)  # the offset, of either sign
COUNT = len(KINDS) + 2  # of all that is drawn


def new_seed() -> int:
    """A seed that nobody could have known."""
    return secrets.randbelow(2**31)


def probes(seed: int, *, receptive_field: int, hop: int, normalize: bool) -> Iterator[Input]:
    """One input of each kind, as the network takes it: float32 [batch, samples]."""
    for i, kind in enumerate(KINDS):
        draw = np.random.default_rng((seed, i))
        frames = int(draw.integers(kind.frames[0], kind.frames[1] + 1))
        samples = receptive_field + (frames - 1) * hop + int(draw.integers(hop))
        level = float(np.exp(draw.uniform(*np.log(kind.level))))
        offset = float(draw.uniform(*kind.offset))
        rows = [
            _sound(draw, samples, level) + offset for _ in range(int(draw.integers(kind.batch[0], kind.batch[1] + 1)))
        ]
        yield Input(kind.name, _as_input(rows, kind.name, normalize=normalize))


def calls_probe(seed: int, *, receptive_field: int, normalize: bool) -> Input:
    """A second of calls with silence between them, louder or not, on an offset; float32 [1, samples]."""
    draw = np.random.default_rng((seed, len(KINDS) + 1))
    call = ORDINARY[str(draw.choice(_CALLS))]() * draw.uniform(0.3, 1.0)
    row = np.resize(call, max(len(call), receptive_field)) + draw.uniform(*_UNDER_CALLS) * draw.choice((-1, 1))
    return Input(CALLS, _as_input([row], CALLS, normalize=normalize))


def long_probe(seed: int, config: EncoderConfig, fitting: int, *, normalize: bool) -> Input:
    """A long sound, of at most ``fitting`` samples, float32 [1, samples]; of small encoders up to a minute."""
    draw = np.random.default_rng((seed, len(KINDS)))
    weights = sum(math.prod(shape) for shape in encoder_shapes(config).values())
    least, most = _LONG[0], min(max(_LONG[0], _COST / weights), _LONG[1])
    frames = round(float(np.exp(draw.uniform(np.log(least), np.log(most)))))
    samples = config.receptive_field + (frames - 1) * config.hop + int(draw.integers(config.hop))
    samples = min(samples, max(fitting, config.receptive_field))
    return Input(LONG, _as_input([_sound(draw, samples, 0.1)], LONG, normalize=normalize), exactly=False)


def _sound(draw: np.random.Generator, samples: int, level: float) -> NDArray[np.float64]:
    """Noise and tones that come and go, of this RMS, in float64 [samples]."""
    time = np.arange(samples) / SAMPLE_RATE
    tones = sum(
        np.sin(2 * np.pi * draw.uniform(50, 7000) * time + draw.uniform(0, 6)) * draw.uniform(0, 1)
        * (1 + np.sin(2 * np.pi * draw.uniform(0.5, 8) * time))
        for _ in range(_TONES)
    )  # fmt: skip
    sound = draw.normal(size=samples) * draw.uniform(0.1, 1) + tones
    return np.asarray(sound * (level / np.sqrt(np.mean(sound * sound))))


def _as_input(rows: list[NDArray[np.float64]], name: str, *, normalize: bool) -> NDArray[np.float32]:
    clips = (Clip(name, row.astype(np.float32), name) for row in rows)
    return np.concatenate([network_input(clip, normalize=normalize) for clip in clips])
