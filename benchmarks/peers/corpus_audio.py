"""Write a corpus of FLAC files at 16 kHz: recordings again and again, each time a little otherwise, or noise.

    python -m benchmarks.peers.corpus_audio OUT SECONDS [RECORDING…]

Files of a minute, and a shorter last one. No two are alike: what is repeated is louder or softer, and has noise of its
own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from aves_convert.sounds.audio import read_clips
from aves_convert.sounds.clip import SAMPLE_RATE

MINUTE = 60 * SAMPLE_RATE


def main(out: Path, seconds: float, recordings: Sequence[Path]) -> None:
    """Write them, the same files each time."""
    sound = _sound(recordings)
    out.mkdir(parents=True, exist_ok=True)
    wanted = round(seconds * SAMPLE_RATE)
    for number, begin in enumerate(range(0, wanted, MINUTE)):
        draw = np.random.default_rng(number)
        samples = np.arange(begin, min(begin + MINUTE, wanted)) % len(sound)
        minute = sound[samples] * draw.uniform(0.5, 1) + 0.001 * draw.standard_normal(len(samples), dtype=np.float32)
        soundfile.write(out / f"{number:05}.flac", minute, SAMPLE_RATE, "PCM_16")


def _sound(recordings: Sequence[Path]) -> NDArray[np.float32]:
    """All recordings one after the other, or half a minute of noise."""
    if not recordings:
        return np.float32(0.1) * np.random.default_rng(0).standard_normal(MINUTE // 2, dtype=np.float32)
    return np.concatenate([clip.waveform for clip in read_clips(recordings)[0]])


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), [Path(each) for each in sys.argv[3:]])
