"""Hold one encoder against TorchAudio's float32 embeddings of the same sounds, and print a line of JSON.

    python -m benchmarks.peers.judging_process torchaudio CHECKPOINT --save REFERENCE.npz [--audio RECORDING]…
    python -m benchmarks.peers.judging_process NAME FILE --reference REFERENCE.npz

The first writes what all are held against: the encoder's input and TorchAudio's embeddings, which are fairseq's bit for
bit, of the reference signals and of the recordings. The second prints for recordings and for signals the
signal-to-noise ratio in dB of the worst clip, and by how much the cosine of the worst frame is less than 1.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from benchmarks.peers.encoders import ENCODERS

from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.reduction.cost import cost
from aves_convert.sounds.audio import read_clips
from aves_convert.sounds.clip import SAMPLE_RATE, Clip
from aves_convert.sounds.network_input import network_input
from aves_convert.sounds.signals import reference_signals
from aves_convert.weights.to_torchaudio import to_torchaudio

LONGEST = 10 * SAMPLE_RATE  # samples: of a longer recording its middle
THREADS = 2


def clips(recordings: Sequence[Path]) -> Iterator[tuple[str, Clip]]:
    """(kind, clip) of everything that is judged."""
    for clip in read_clips(recordings)[0] if recordings else ():
        start = max(0, clip.samples - LONGEST) // 2
        yield "recordings", Clip(Path(clip.name).name, clip.waveform[start : start + LONGEST])
    for clip in reference_signals():
        yield "signals", clip


def save_reference(name: str, checkpoint: Path, recordings: Sequence[Path], path: Path) -> None:
    """Write "KIND/CLIP/input" [1, samples] and "KIND/CLIP/embeddings" [1, frames, dim] of every clip."""
    normalize = to_torchaudio(read_checkpoint(checkpoint)).architecture.normalize
    encoder = ENCODERS[name](checkpoint, THREADS)
    arrays = {}
    for kind, clip in clips(recordings):
        waveform = np.array(network_input(clip, normalize=normalize))  # torch wants one that it could write to
        arrays[f"{kind}/{clip.name}/input"] = waveform
        arrays[f"{kind}/{clip.name}/embeddings"] = encoder(waveform)
    np.savez(path, **arrays)


def judge(name: str, file: Path, reference: Path) -> dict[str, dict[str, float]]:
    """The worst of each kind of sounds."""
    encoder = ENCODERS[name](file, THREADS)
    found: dict[str, dict[str, float]] = {"snr": {}, "away": {}}
    with np.load(reference) as arrays:
        for key in arrays:
            kind, _, rest = key.partition("/")
            if not rest.endswith("/input"):
                continue
            one = cost(encoder(arrays[key]), arrays[key.removesuffix("input") + "embeddings"])
            found["snr"][kind] = min(one.snr, found["snr"].get(kind, np.inf))
            found["away"][kind] = max(1 - one.worst_cosine, found["away"].get(kind, -np.inf))
    return found


def main() -> None:
    """Write the reference, or judge by it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=ENCODERS)
    parser.add_argument("file", type=Path)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--audio", type=Path, action="append", default=[])
    parser.add_argument("--reference", type=Path)
    given = parser.parse_args()
    if given.save is not None:
        save_reference(given.name, given.file, given.audio, given.save)
    else:
        print(json.dumps(judge(given.name, given.file, given.reference)))


if __name__ == "__main__":
    main()
