"""Time several encoders in this one process, in turns, and print the seconds of each round as a line of JSON.

    python -m benchmarks.paired_process --threads 2 --seconds 10 --batch 1 --warm-ups 2 --rounds 9
        NAME=FILE…

FILE is as that of ``benchmarks.peers.encoder_process``.

In one process and seconds apart, they meet the same neighbours on the machine and the same memory, which differ
between processes by more than graphs do.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from benchmarks.peers.encoder_process import waveform
from benchmarks.peers.encoders import ENCODERS

REST = 0.1  # seconds; until then ONNX Runtime's threads of the graph before wait for work, and take a core


def main() -> None:
    """The first rounds warm up: ONNX Runtime lays out its memory for a length in one and takes it in the next."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graphs", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--warm-ups", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    given = parser.parse_args()
    files = dict(graph.split("=", 1) for graph in given.graphs)
    encoders = {name: ENCODERS[name](Path(path), given.threads) for name, path in files.items()}
    clip = waveform(given.seconds, given.batch)
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for i in range(-given.warm_ups, given.rounds):
        for name in list(encoders)[:: 1 if i % 2 else -1]:
            time.sleep(REST)
            start = time.perf_counter()
            encoders[name](clip)
            if i >= 0:
                times[name].append(time.perf_counter() - start)
    print(json.dumps(times))


if __name__ == "__main__":
    main()
