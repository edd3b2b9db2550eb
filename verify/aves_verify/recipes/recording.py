"""Recording an original on a whole corpus, once: every later port, runtime and version is held against it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aves_convert.graph.options import Layers
from aves_convert.sounds.clip import SAMPLE_RATE, too_short
from aves_convert.sounds.network_input import network_input
from aves_verify.corpus.shards import Shard
from aves_verify.corpus.windows import Cutting
from aves_verify.loading.load import Loaded, load
from aves_verify.parts import outputs
from aves_verify.parts.identity import Identity
from aves_verify.parts.outputs import OutputRow
from aves_verify.parts.row import Row
from aves_verify.recipes.making import Made
from aves_verify.recipes.shard import windows_of
from aves_verify.recipes.verifying import check_fits, environment
from aves_verify.subjects.subject import Subject
from aves_verify.verification.recording import make_recording


@dataclass(frozen=True)
class RecordRecipe:
    """Record one backend's outputs on shards of a corpus, and on the reference signals."""

    subject: Subject
    backend: str
    layers: Layers
    cutting: Cutting
    threads: int
    identity: Identity

    @property
    def key(self) -> str:
        """What it is."""
        return self.identity.run

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read."""
        return self.subject.paths

    def open(self, files: Mapping[Path, Path]) -> Recorder:
        """Load the encoder. Raises InputError."""
        torch.set_num_threads(self.threads)
        subject = self.subject.moved(files)
        loaded = load(subject, (self.backend,), judged=False)
        check_fits(loaded, self.cutting, deep=self.layers == "all")
        return Recorder(self, subject, loaded)


@dataclass(frozen=True)
class Recorder:
    """A process with the original loaded."""

    recipe: RecordRecipe
    subject: Subject
    loaded: Loaded

    def make(self, spec: Shard | None) -> Made:
        """Record a shard, or the reference signals where there is none. Raises InputError where it cannot be run."""
        if spec is None:
            return self._signals()
        count, samples = 0, 0

        def rows() -> Iterator[OutputRow]:
            nonlocal count, samples
            for row in self._rows(spec):
                count, samples = count + 1, samples + row.samples
                yield row

        backend, recipe = self.loaded.backends[0], self.recipe
        facts = {
            "run": recipe.identity.run,
            "audio": spec.audio,
            "backend": backend.name,
            "version": backend.version,
            "environment": environment(recipe.threads),
        }
        content = outputs.to_bytes(facts, rows())
        return Made(content, {"windows": count, "sound": samples / SAMPLE_RATE})

    def _signals(self) -> Made:
        with tempfile.TemporaryDirectory(prefix="aves-recording-") as folder:
            path = Path(folder) / "signals"
            make_recording(self.subject, self.recipe.backend, None, path, layers=self.recipe.layers)
            return Made(path.read_bytes(), {})

    def _rows(self, shard: Shard) -> Iterator[OutputRow]:
        config = self.loaded.config
        for stretch in shard.stretches:
            for window in windows_of(stretch, self.recipe.cutting):
                if isinstance(window, Row) or too_short(window.clip, config.receptive_field):
                    continue  # whoever verifies tells of it
                waveform = network_input(window.clip, normalize=self.loaded.normalize)
                found = self.loaded.backends[0].run(waveform, layers=self.recipe.layers == "all")
                kept = {name: array for name, array in found.items() if array.dtype == np.float32}
                one = stretch.recording
                yield OutputRow(one.name, one.sha256, window.start, window.clip.samples, waveform, kept)
