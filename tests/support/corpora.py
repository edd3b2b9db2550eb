"""Recordings of every kind, as a corpus has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

# name -> rate, channels, subtype
KINDS = {
    "sixteen.wav": (16_000, 1, "PCM_16"),
    "deep.wav": (48_000, 1, "PCM_24"),
    "float.wav": (22_050, 2, "FLOAT"),
    "stereo.wav": (44_100, 2, "PCM_16"),
    "slow.wav": (8_000, 1, "PCM_16"),
    "bat.wav": (192_000, 1, "PCM_16"),
    "odd.wav": (44_101, 1, "PCM_16"),
    "packed.wav": (16_000, 1, "IMA_ADPCM"),
    "forest.flac": (44_100, 2, "PCM_16"),
    "deep.flac": (16_000, 1, "PCM_24"),
    "pond.ogg": (32_000, 1, "VORBIS"),
    "phone.mp3": (44_100, 2, "MPEG_LAYER_III"),
    "small.mp3": (16_000, 1, "MPEG_LAYER_III"),
    "spoken.ogg": (48_000, 1, "OPUS"),
}


def noise(seconds: float, rate: int, channels: int = 1, seed: int = 0) -> NDArray[np.float64]:
    """Calls in noise [samples, channels]."""
    count = round(seconds * rate)
    time = np.arange(count)[:, None] / rate
    random = np.random.default_rng(seed).standard_normal((count, channels))
    return 0.3 * np.sin(2 * np.pi * 1000 * time + 300 * np.sin(time)) + 0.05 * random


def record(path: Path, seconds: float, seed: int = 0, kind: str = "") -> Path:
    """Write a recording of the kind that ``KINDS`` has under its name, or under ``kind``."""
    rate, channels, subtype = KINDS.get(kind or path.name, (16_000, 1, "PCM_16"))
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = noise(seconds, rate, channels, seed)
    with soundfile.SoundFile(path, "w", rate, channels, subtype) as file:
        for start in range(0, len(samples), rate):  # libsndfile's Vorbis does not survive long pieces
            file.write(samples[start : start + rate])
    return path
