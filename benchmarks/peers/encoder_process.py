"""Time one encoder in this process alone, and print a line of JSON.

    python -m benchmarks.peers.encoder_process NAME FILE --threads 2 --seconds 10 --batch 1 --repeats 3
        [--warm-up 1] [--save OUTPUT.npy] [--exact OUTPUT.npy]

FILE is an ONNX file, or for torch's encoders the checkpoint. ``--exact`` is what ``exact --save`` wrote before. The
clip is run once before it is timed, or with ``--warm-up`` noise of so many seconds: then time and memory are those of a
first clip of this length.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
from benchmarks.peers.encoders import ENCODERS
from numpy.typing import NDArray

SAMPLE_RATE = 16_000


def waveform(seconds: float, batch: int) -> NDArray[np.float32]:
    """Noise [batch, samples], every row another."""
    noise = np.random.default_rng(0).standard_normal((batch, round(seconds * SAMPLE_RATE)), dtype=np.float32)
    return np.float32(0.1) * noise


def main() -> None:
    """Warm up, time, and compare with the exact answer once all is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=ENCODERS)
    parser.add_argument("file", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--warm-up", type=float)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--exact", type=Path)
    given = parser.parse_args()
    encoder = ENCODERS[given.name](given.file, given.threads)
    clip = waveform(given.seconds, given.batch)
    if given.save is None:  # what is saved is not timed
        encoder(clip if given.warm_up is None else waveform(given.warm_up, given.batch))
    times = []
    for _ in range(given.repeats):
        start = time.perf_counter()
        output = encoder(clip)
        times.append(time.perf_counter() - start)
    found = {"seconds": times, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if given.save is not None:
        np.save(given.save, output)
    if given.exact is not None:
        exact = np.load(given.exact)
        if exact.shape != output.shape:
            raise SystemExit(f"{given.name} gives {list(output.shape)}, expected {list(exact.shape)}")
        found |= {"error": float(np.sqrt(np.mean((output - exact) ** 2))), "scale": float(np.sqrt(np.mean(exact**2)))}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
