"""A part that holds an encoder's outputs on a shard, without loss: what a recording of one input is, for a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import quoted
from aves_artifacts.bundle.outputs import is_deep
from aves_verify.backends.backend import Embeddings
from aves_verify.backends.recorded import waveform_sha256
from aves_verify.parts.part import damaged, facts_of, open_parquet, parquet, sealed
from aves_verify.parts.table import as_row

SCHEMA = 1
KIND = "aves-verify corpus outputs"
_PLACE = {"recording": pa.string(), "sha256": pa.string(), "start": pa.int64(), "samples": pa.int64()}
_WAVEFORM, _FRAMES = "waveform_sha256", "frames"  # of the network's input; of every output


@dataclass(frozen=True)
class OutputFacts:
    """What such a part says of itself: by output the numbers of each frame, and whose outputs they are."""

    schema: int
    run: str
    audio: str
    backend: str
    version: str
    dimensions: dict[str, int]
    environment: dict[str, str]


@dataclass(frozen=True, eq=False)
class OutputRow:
    """The outputs [1, frames, dim] for one window; ``start`` and ``samples`` are at 16 kHz."""

    recording: str
    sha256: str
    start: int
    samples: int
    waveform: NDArray[np.float32]  # [1, samples], as the network takes it
    outputs: Embeddings


def to_bytes(facts: Mapping[str, Any], rows: list[OutputRow]) -> bytes:
    """Write them; ``facts`` are those of ``OutputFacts`` but the schema and the dimensions."""
    dimensions = {name: int(array.shape[-1]) for row in rows[:1] for name, array in row.outputs.items()}
    about = as_row(OutputFacts(SCHEMA, dimensions=dimensions, **facts))
    columns: dict[str, Any] = {
        name: pa.array([getattr(row, name) for row in rows], kind) for name, kind in _PLACE.items()
    }
    columns[_WAVEFORM] = pa.array([waveform_sha256(row.waveform) for row in rows], pa.string())
    frames = [next(iter(row.outputs.values())).shape[1] if row.outputs else 0 for row in rows]
    columns[_FRAMES] = pa.array(frames, pa.int64())
    for name in dimensions:
        columns[name] = _lists([row.outputs[name] for row in rows])
    table = pa.table(columns).replace_schema_metadata(sealed(KIND, about))
    return parquet(table, split=list(dimensions), together=1)  # a window can be read alone: all would be gigabytes


def _lists(arrays: list[NDArray[np.float32]]) -> pa.LargeListArray:
    """One list of numbers for each array, without a Python object for each number."""
    ends = np.cumsum([0, *(array.size for array in arrays)])
    values = np.concatenate([array.ravel() for array in arrays]) if arrays else np.zeros(0, np.float32)
    return pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), pa.array(values, pa.float32()))


class RecordedShard:
    """The outputs of a shard, as a backend: what was recorded, under the name of who computed it."""

    def __init__(self, path: Path, where: str) -> None:
        """Raise InputError for another file; ``where`` it is from is for messages."""
        self.path = where
        try:
            self._file = open_parquet(path)
            self.facts: OutputFacts = facts_of(self._file, KIND, OutputFacts)
            if self.facts.schema != SCHEMA:
                raise ValueError(f"schema {quoted(self.facts.schema)}, this version reads {SCHEMA}")
            known = self._file.read(columns=[_WAVEFORM, _FRAMES])
            self._rows = {name: i for i, name in enumerate(known.column(_WAVEFORM).to_pylist())}
            self._frames = known.column(_FRAMES).to_pylist()
            if self._file.num_row_groups != len(self._frames):
                raise ValueError("its windows lie together")
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
            raise damaged(where, error) from None
        self.name = self.kind = self.facts.backend
        self.version = self.facts.version

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
        """See ``Encoder.run``. Raises InputError for a waveform or layers that were not recorded."""
        sha256 = waveform_sha256(waveform)
        if sha256 not in self._rows:
            raise InputError(
                f"{self.path}: holds no output for a waveform {list(waveform.shape)} with SHA-256 {sha256[:12]}…: "
                "it was read otherwise then, perhaps by another version of a decoder; record again"
            )
        if layers and not any(is_deep(name) for name in self.facts.dimensions):
            raise InputError(f"{self.path}: only the last layer was recorded", hint="record with {layers} all")
        names = [name for name in self.facts.dimensions if layers or not is_deep(name)]
        row = self._rows[sha256]
        try:
            table = self._file.read_row_group(row, columns=names)
            return {name: self._output(table.column(name), row, self.facts.dimensions[name]) for name in names}
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
            raise damaged(self.path, error) from None

    def _output(self, column: Any, row: int, dim: int) -> NDArray[np.float32]:
        """Raises ValueError where it is not as large as it should be."""
        values = column.chunk(0).flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=True)
        return np.asarray(values.reshape(1, self._frames[row], dim))
