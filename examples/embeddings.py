"""Embedding a shard of a corpus: what a process loads once, and the rows that it makes of each shard.

Workers import this module, so those of a cluster need this folder on their PYTHONPATH.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aves_artifacts import InputError
from aves_verify import Clip, Cutting, Made, Plan, Shard, Subject, Unreadable, windows_or_reasons
from embedding_parts import WRITERS, Form, Row, Values
from synthesis import SAMPLE_RATE

Pool = Literal["mean", "max", "none"]

# Of [frames, dim]; sums of many numbers lose digits in float32.
POOLS: Mapping[Pool, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "mean": lambda frames: frames.mean(axis=0, dtype=np.float64).astype(np.float32),
    "max": lambda frames: frames.max(axis=0),
    "none": lambda frames: frames,
}


@dataclass(frozen=True)
class Wanted:
    """What is wanted of each window: which output, by which port, and how its frames are pooled."""

    backend: str
    output: str
    pool: Pool

    @property
    def called(self) -> str:
        """What an encoder that is run calls the output."""
        return "final" if self.output == "embeddings" else self.output

    @property
    def plan(self) -> Plan:
        """How the port is run: layers are computed where one is wanted."""
        return Plan(backends=(self.backend,), layers="all" if self.output.startswith("layer.") else "last")


@dataclass(frozen=True)
class EmbedRecipe:
    """Embed the windows of a shard by one port.

    ``shortest``: the samples at 16 kHz that it takes at least. ``about``: what parts say of the model.
    """

    files_of: Subject
    wanted: Wanted
    cutting: Cutting
    threads: int
    form: Form
    shortest: int
    about: Mapping[str, Any]

    @property
    def key(self) -> str:
        """What it is; files, windows and threads decide the parts' names, too."""
        wanted = self.wanted
        return f"{self.about['model']}: {wanted.output} of {wanted.backend}, pool {wanted.pool}, as {self.form}"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the port is loaded from."""
        return self.files_of.paths

    def open(self, files: Mapping[Path, Path]) -> Embedder:
        """Load the port, and see what it gives. Raises InputError for an output that it does not give."""
        import torch

        torch.set_num_threads(self.threads)
        run = self.wanted.plan.with_threads(self.threads).opened(self.files_of.moved(files))
        given = run(Clip("silence", np.zeros(self.shortest, np.float32)))[self.wanted.backend]
        if self.wanted.called not in given:
            names = ", ".join("embeddings" if name == "final" else name for name in given)
            raise InputError(f"{self.wanted.backend} gives no {self.wanted.output}, but {names}; give --output")
        frames = given[self.wanted.called][0]
        if frames.ndim == 1 and self.wanted.pool != "none":
            raise InputError(f"{self.wanted.output} are numbers of centroids, which have no {self.wanted.pool}; "
                             "give --pool none")  # fmt: skip
        return Embedder(self, run, frames[:0])


@dataclass(frozen=True)
class Embedder:
    """A process with a loaded port; ``empty``: its output of no frames."""

    recipe: EmbedRecipe
    run: Callable[[Clip], Mapping[str, Any]]
    empty: Values

    def make(self, spec: Shard) -> Made:
        """Embed a shard. Raises StoreError where its audio cannot be read now, and RunError where the port fails."""
        recipe = self.recipe
        rows = [row for stretch in spec.stretches for row in self._rows(stretch)]
        about = {
            **recipe.about,
            **asdict(recipe.wanted),
            "dim": self.empty.shape[1] if self.empty.ndim == 2 else None,
            "window_seconds": recipe.cutting.window,
            "hop_seconds": recipe.cutting.hop,
            "threads": recipe.threads,
        }
        content = WRITERS[recipe.form](rows, self.empty, recipe.wanted.pool != "none", about)
        embedded = [row for row in rows if row.values is not None]
        left_out = [row for row in rows if row.values is None and 0.0 in (row.start, row.seconds)]
        return Made(
            content,
            {
                "windows": len(embedded),
                "sound": sum(row.seconds for row in embedded),
                "unreadable": len({row.recording for row in left_out}),
            },
        )

    def _rows(self, stretch: Any) -> Iterator[Row]:
        """A row for each window of a stretch, and for what cannot be read."""
        one, cutting, wanted = stretch.recording, self.recipe.cutting, self.recipe.wanted
        for window in windows_or_reasons(stretch, cutting):
            if isinstance(window, Unreadable):
                yield Row(one.name, one.sha256, window.start / SAMPLE_RATE, 0.0, reason=window.reason)
                continue
            start, seconds, samples = window.start / SAMPLE_RATE, window.clip.duration, window.clip.samples
            if samples < self.recipe.shortest:  # what is left at the end; padding would change every frame
                reason = f"{samples} samples at 16 kHz are too short: this port takes {self.recipe.shortest}"
                yield Row(one.name, one.sha256, start, seconds, reason=reason)
                continue
            frames = self.run(window.clip)[wanted.backend][wanted.called][0]
            yield Row(one.name, one.sha256, start, seconds, POOLS[wanted.pool](frames))
