"""Conversion over the size of the model: base, large, extra large, with seeded weights and no optimizer state."""

from __future__ import annotations

import shutil
import statistics
from collections import defaultdict

from benchmarks.bench import Bench
from benchmarks.processes import python, run, take_turns, tool
from benchmarks.report.results import Curve, Part

SIZES = ("base", "large", "extra-large")


def scale_converting(bench: Bench) -> Part:
    """Time and peak memory of two conversions over the MiB of weights."""
    mib = []
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    memory: defaultdict[str, list[float]] = defaultdict(list)
    for size in ("tiny", "small") if bench.quick else SIZES:
        folder = bench.work / "sizes" / size
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint = folder / "x.pt"
        run(python("benchmarks.checkpoints", size, checkpoint))
        mib.append(checkpoint.stat().st_size / 2**20)
        commands = {
            "fairseq2torchaudio": tool("aves-convert", "fairseq2torchaudio", checkpoint, "--out", folder, "--force"),
            "fairseq2onnx": tool("aves-convert", "fairseq2onnx", checkpoint, "--out", folder / "x.onnx", "--force"),
        }
        if bench.quick:
            del commands["fairseq2torchaudio"]
        rounds = 1 if bench.quick else 3
        for name, runs in take_turns(commands, rounds, warm_up=not bench.quick).items():
            seconds[name].append(statistics.median(each.seconds for each in runs))
            memory[name].append(statistics.median(each.peak_mib for each in runs))
        shutil.rmtree(folder)
    return Part(
        curves=[
            Curve("converting", name, "MiB of weights", unit, mib, found[name])
            for unit, found in (("s", seconds), ("MiB", memory))
            for name in seconds
        ]
    )
