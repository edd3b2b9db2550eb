"""What every part of the benchmark is given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from benchmarks.flops import forward_flops
from benchmarks.machine import Floors
from benchmarks.processes import python, run, tool

SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Bench:
    """The checkpoint, a folder for what takes long to make, and how far the machine can go."""

    checkpoint: Path
    work: Path
    floors: Floors
    quick: bool  # tiny and without peers that need an environment: only to see that all of it runs
    made: set[str] = field(default_factory=set)  # the bundle, and exporters, whose files of this checkpoint are there
    answers: dict[tuple[float, int], tuple[Path, float]] = field(default_factory=dict)  # see inference.py
    windows: int = 10_000  # of the corpus with a tiny model
    hours: float = 1.0  # of that with the checkpoint
    recordings: tuple[Path, ...] = ()  # in order: smaller graphs are searched on every other, and judged by the rest

    @cached_property
    def bundle(self) -> Path:
        """The checkpoint's bundle, made anew once."""
        folder = self.work / "bundle"
        if "bundle" not in self.made:
            run(tool("aves-convert", "bundle", self.checkpoint, "--out", folder, "--name", "base", "--force"))
            self.made.add("bundle")
        return folder

    def graphs(self, names: Sequence[str]) -> dict[str, Path]:
        """The exporters' ONNX files of the checkpoint."""
        folder = self.work / "graphs"
        missing = [name for name in names if name not in self.made]
        if missing:
            run(python("benchmarks.peers.onnx_peers", self.checkpoint, folder, *missing))
            self.made.update(missing)
        return {name: folder / name / "model.onnx" for name in names}

    def product_seconds(self, seconds: float, batch: int, threads: int) -> float:
        """What the products alone of one forward pass take at the rate of a large matrix product."""
        config = json.loads((self.bundle / "base.torchaudio.model_config.json").read_text(encoding="utf-8"))
        flops = batch * forward_flops(config, round(seconds * SAMPLE_RATE))
        return flops / 1e9 / self.floors.gflops[threads]
