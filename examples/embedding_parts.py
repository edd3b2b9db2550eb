"""A shard's embeddings as one file, in Parquet or in Zarr: the same bytes for the same rows."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SCHEMA = 1
KIND = "aves-embeddings"  # the name of what a Parquet file says of itself
CHUNK = 4096  # rows of an array that can be read alone
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a ZIP file can name

Form = Literal["parquet", "zarr"]
Values = NDArray[Any]  # float32 [dim] or [frames, dim], or int64 [frames] of units
Writer = Callable[[Sequence["Row"], Values, bool, Mapping[str, Any]], bytes]


@dataclass(frozen=True, eq=False)
class Row:
    """A window of a recording, from ``start`` on, in seconds: its values, or the reason why there are none."""

    recording: str
    sha256: str  # of the file's bytes
    start: float
    seconds: float
    values: Values | None = None
    reason: str = ""


def to_parquet(rows: Sequence[Row], empty: Values, pooled: bool, about: Mapping[str, Any]) -> bytes:
    """Write a table with a row for each window. ``empty``: values of no frames, whose type and dimension are all rows'.

    ``embedding`` is a vector, or where frames are not ``pooled`` all of them one after the other, ``frames`` times dim.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = pa.from_numpy_dtype(empty.dtype)
    kind = pa.list_(number, empty.shape[1]) if pooled else pa.large_list(number)
    columns = {
        "recording": pa.array([row.recording for row in rows], pa.string()),
        "sha256": pa.array([row.sha256 for row in rows], pa.string()),
        "start": pa.array([row.start for row in rows], pa.float64()),
        "seconds": pa.array([row.seconds for row in rows], pa.float64()),
        "embedding": pa.array([None if row.values is None else row.values.ravel() for row in rows], kind),
        "reason": pa.array([row.reason or None for row in rows], pa.string()),
    }
    if not pooled:
        columns["frames"] = pa.array([0 if row.values is None else len(row.values) for row in rows], pa.int32())
    table = pa.table(columns).replace_schema_metadata({KIND: json.dumps({"schema": SCHEMA, **about}, sort_keys=True)})
    stream = BytesIO()
    words = ["recording", "sha256", "reason"]  # numbers hardly repeat
    pq.write_table(table, stream, compression="zstd", use_dictionary=words, write_page_checksum=True)
    return stream.getvalue()


def to_zarr(rows: Sequence[Row], empty: Values, pooled: bool, about: Mapping[str, Any]) -> bytes:
    """Write a group of arrays as one ZIP file; see ``to_parquet``.

    ``embeddings`` is [windows, dim], or [all frames, dim] with how many ``frames`` each window has; ``start``,
    ``seconds`` and ``recording``, a place in the attribute ``recordings``, are [windows]. What cannot be read is in the
    attribute ``left_out``.
    """
    import zarr

    found = [(row, row.values) for row in rows if row.values is not None]
    recordings = list(dict.fromkeys((row.recording, row.sha256) for row, _ in found))
    places = {recording: place for place, recording in enumerate(recordings)}
    attributes = {
        KIND: {"schema": SCHEMA, **about},
        "recordings": [{"recording": name, "sha256": sha256} for name, sha256 in recordings],
        "left_out": [
            {"recording": row.recording, "sha256": row.sha256, "start": row.start, "reason": row.reason}
            for row in rows
            if row.values is None
        ],
    }
    arrays = {
        "recording": np.array([places[row.recording, row.sha256] for row, _ in found], np.int64),
        "start": np.array([row.start for row, _ in found], np.float64),
        "seconds": np.array([row.seconds for row, _ in found], np.float64),
        "embeddings": np.concatenate([empty, *(values[None] if pooled else values for _, values in found)]),
    }
    if not pooled:
        arrays["frames"] = np.array([len(values) for _, values in found], np.int64)
    kept: dict[str, Any] = {}
    group = zarr.create_group(zarr.storage.MemoryStore(kept), zarr_format=3, attributes=attributes)
    for name, array in sorted(arrays.items()):
        group.create_array(
            name,
            data=array,
            chunks=(min(max(1, len(array)), CHUNK), *array.shape[1:]),
            dimension_names=("frame" if name == "embeddings" and not pooled else "window", "dim")[: array.ndim],
        )
    return _zipped({name: buffer.to_bytes() for name, buffer in kept.items()})


def _zipped(files: Mapping[str, bytes]) -> bytes:
    """A ZIP file whose bytes follow from the files alone: not from the time, nor from the system."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:  # chunks are compressed already
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, content)
    return stream.getvalue()


WRITERS: Mapping[Form, Writer] = {"parquet": to_parquet, "zarr": to_zarr}
ENDINGS: Mapping[Form, str] = {"parquet": ".parquet", "zarr": ".zarr.zip"}
