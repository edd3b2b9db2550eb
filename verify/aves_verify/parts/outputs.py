"""A part that holds an encoder's outputs on a shard, without loss: what a recording of one input is, for a corpus."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import quoted
from aves_artifacts.bundle.outputs import is_deep
from aves_verify.backends.backend import Embeddings
from aves_verify.backends.recorded import waveform_sha256
from aves_verify.parts.part import damaged, facts_of, how_written, open_parquet, sealed
from aves_verify.parts.table import as_row

SCHEMA = 1
KIND = "aves-verify corpus outputs"
_WAVEFORM, _FRAMES = "waveform_sha256", "frames"  # of the network's input; of every output
_PLACE = {
    "recording": pa.string(),
    "sha256": pa.string(),
    "start": pa.int64(),
    "samples": pa.int64(),
    _WAVEFORM: pa.string(),
    _FRAMES: pa.int64(),
}
_LISTS = pa.large_list(pa.float32())


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


def to_bytes(facts: Mapping[str, Any], rows: Iterable[OutputRow]) -> bytes:
    """Write them, one after the other; ``facts`` are those of ``OutputFacts`` but the schema and the dimensions.

    A window can be read alone: all layers of a shard together would be gigabytes.
    """
    left = iter(rows)
    first = next(left, None)
    dimensions = {} if first is None else {name: int(array.shape[-1]) for name, array in first.outputs.items()}
    about = sealed(KIND, as_row(OutputFacts(SCHEMA, dimensions=dimensions, **facts)))
    columns = {**_PLACE, **dict.fromkeys(dimensions, _LISTS)}
    schema = pa.schema([pa.field(name, kind) for name, kind in columns.items()], metadata=about)
    stream, how = BytesIO(), how_written(list(_PLACE), list(dimensions))
    with pq.ParquetWriter(stream, schema, **how) as file:
        for row in () if first is None else itertools.chain([first], left):
            file.write_table(_one(row, list(dimensions), schema))
    return stream.getvalue()


def _one(row: OutputRow, names: Sequence[str], schema: pa.Schema) -> pa.Table:
    """One row as a table, without a Python object for each number."""
    given: list[Any] = [getattr(row, name) for name in ("recording", "sha256", "start", "samples")]
    given += [waveform_sha256(row.waveform), next(iter(row.outputs.values())).shape[1]]
    columns = [pa.array([value], kind) for value, kind in zip(given, _PLACE.values(), strict=True)]
    for name in names:
        values = pa.array(row.outputs[name].ravel(), pa.float32())
        columns.append(pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values))
    return pa.Table.from_arrays(columns, schema=schema)


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
            columns = {field.name: field.type for field in self._file.schema_arrow}
            if columns != {**_PLACE, **dict.fromkeys(self.facts.dimensions, _LISTS)}:
                raise ValueError("its columns are others")
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
