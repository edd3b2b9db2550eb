"""The inputs that all clients get, and the two answers that they are judged by: the exact one and the original's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from aves_artifacts.encoder import EncoderConfig
from aves_convert.sounds.clip import SAMPLE_RATE
from aves_convert.sounds.signals import reference_signals
from aves_convert.weights.state_dict import read_state_dict
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend

LENGTHS = (400, 720, 4_001, 16_000, 48_000, 160_000, 480_000)  # samples: one frame, two, odd, and 1 to 30 s
QUICK = 48_000
OFFSETS = (0.1, -0.5)
_SHIFTED = (16_000, 48_000)  # which lengths have them
_HAS_OFFSET = 0.05  # a recording's mean from which on it has one of its own


@dataclass(frozen=True, eq=False)
class Input:
    """A waveform [batch, samples]; ``offset`` tells those apart that have one, as they are judged apart."""

    name: str
    waveform: NDArray[np.float32] = field(repr=False)
    offset: bool = False


@dataclass(frozen=True, eq=False)
class Answers:
    """What is right for an input, and what the original gives, each [batch, frames, dim]."""

    exact: NDArray[np.float64]
    original: NDArray[np.float32]


def inputs(longest: int, recordings: Mapping[str, NDArray[np.float32]] | None = None) -> Iterator[Input]:
    """Every input up to so many samples, of the project's own sounds, or of each of these recordings at 16 kHz."""
    if recordings:
        for name, recording in recordings.items():
            yield from (replace(one, name=f"{name}, {one.name}") for one in _of(recording, longest))
        return
    clips = {clip.name: clip.waveform for clip in reference_signals()}
    yield from _of(np.roll(clips["twenty_seconds"], -SAMPLE_RATE), longest)  # a pond, from its first call on


def _of(sound: NDArray[np.float32], longest: int) -> Iterator[Input]:
    own = float(sound.mean())

    def shifted(name: str, waveform: NDArray[np.float32], by: float = 0.0) -> Input:
        return Input(name, waveform + np.float32(by), offset=abs(own + by) >= _HAS_OFFSET)

    for samples in LENGTHS:
        if samples > longest:
            break
        waveform = np.resize(sound, samples)[None]
        yield shifted(f"{samples}", waveform)
        if samples in _SHIFTED:
            yield from (shifted(f"{samples}{offset:+g}", waveform, offset) for offset in OFFSETS)
    yield shifted("3x16000", np.resize(sound, (3, 16_000)))


def answers(weights: Path, config_file: Path, given: list[Input]) -> dict[str, Answers]:
    """By the input's name. The original is TorchAudio in float32, which is fairseq bit for bit."""
    config = EncoderConfig.read(config_file)
    original = TorchaudioBackend(config, read_state_dict(weights, config))
    exact = TorchaudioBackend(config, original.weights(), dtype=torch.float64)
    return {one.name: Answers(exact.run(one.waveform)["final"], original.run(one.waveform)["final"]) for one in given}
