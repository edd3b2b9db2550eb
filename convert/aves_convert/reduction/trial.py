"""Trying a graph: written to a file as it would be, run on all clips, and held against the float32 graph."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.graph_contract import WAVEFORM
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph_files.writer import save_graph
from aves_convert.reduction.bounds import Worst
from aves_convert.reduction.cost import cost
from aves_convert.reduction.running import Floats, Running
from aves_convert.reduction.sensitivity import Encoder, Tenths, tenths

_PASSES = 5


@dataclass(frozen=True)
class Trial:
    """A graph that was tried: what stays wide in it, its size in bytes, and the worst of either kind of clips."""

    wide: tuple[str, ...]
    size: int
    searched_on: Worst
    held_out: Worst
    seconds: float | None = None  # of one pass on the longest clip; never written down


@dataclass(frozen=True, eq=False)
class Bench:
    """Where graphs are tried: waveforms [1, samples] by the names of their clips, and the float32 graph's answers."""

    encoder: Encoder
    options: OnnxOptions
    searched_on: Mapping[str, Floats]
    held_out: Mapping[str, Floats]
    references: Mapping[str, Floats]
    float32_size: int  # of that graph's file, in bytes

    @classmethod
    def of(
        cls, encoder: Encoder, options: OnnxOptions, searched_on: Mapping[str, Floats], held_out: Mapping[str, Floats]
    ) -> Bench:
        """Run the float32 graph on all of them. Raises InputError where its answers are no finite numbers."""
        with _loaded(encoder, OnnxOptions()) as (run, size):
            references = {name: run({WAVEFORM: each}) for name, each in {**searched_on, **held_out}.items()}
        for name, answer in references.items():
            if not np.isfinite(answer).all():
                raise InputError(f"{name}: the encoder's own answer is not finite; nothing can be held against it")
        return cls(encoder, options, searched_on, held_out, references, size)

    def try_out(self, wide: tuple[str, ...], *, timed: bool = False) -> Trial:
        """Write the graph in which these products are wide, and measure it on every clip."""
        with _loaded(self.encoder, self._reduced(wide)) as (run, size):
            searched_on, held_out = (
                Worst.of({name: cost(run({WAVEFORM: each}), self.references[name]) for name, each in clips.items()})
                for clips in (self.searched_on, self.held_out)
            )
            return Trial(wide, size, searched_on, held_out, self._seconds(run) if timed else None)

    def noise(self, wide: tuple[str, ...]) -> list[Tenths]:
        """Measure the noise of that graph frame by frame, in the clips that are searched on."""
        with _loaded(self.encoder, self._reduced(wide)) as (run, _size):
            return [tenths(run({WAVEFORM: each}), self.references[name]) for name, each in self.searched_on.items()]

    def _reduced(self, wide: tuple[str, ...]) -> OnnxOptions:
        return OnnxOptions(precision=self.options.precision, weights=self.options.weights, wide=wide)

    def _seconds(self, run: Running) -> float:
        longest = max([*self.searched_on.values(), *self.held_out.values()], key=np.size)
        found = []
        for _ in range(_PASSES):
            begin = time.perf_counter()
            run({WAVEFORM: longest})
            found.append(time.perf_counter() - begin)
        return min(found)  # what else the machine does only adds


@contextmanager
def _loaded(encoder: Encoder, options: OnnxOptions) -> Iterator[tuple[Running, int]]:
    """A graph as ONNX Runtime loads it from its file, and the file's size."""
    graph = encoder.graph(options)
    with tempfile.TemporaryDirectory(prefix="aves-search-") as folder:
        path = Path(folder) / "tried.onnx"
        save_graph(graph.model, path, graph.arrays)
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
        yield Running(path), size
