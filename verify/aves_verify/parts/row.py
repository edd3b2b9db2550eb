"""One row of a part: a window of a recording, and how one output of one port compares there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aves_verify.comparison.compare import Comparison
from aves_verify.comparison.evidence import Evidence
from aves_verify.parts.table import as_record, as_row, fields_of, names_of

# What stands in the place of a comparison's status where there is none.
UNREADABLE = "unreadable"  # a recording that cannot be read, or not to its end
SKIPPED = "skipped"  # what is left at a recording's end, and is too short for a frame


@dataclass(frozen=True)
class Where:
    """A window: its recording by name and by the SHA-256 of the file's bytes, its place, and what it sounds like.

    ``start`` and ``samples`` are at 16 kHz. ``level`` is the RMS around the mean ``offset``, full scale is 1; all are
    NaN where nothing was read.
    """

    recording: str
    sha256: str
    start: int
    samples: int
    level: float = np.nan
    offset: float = np.nan
    peak: float = np.nan


@dataclass(frozen=True)
class Sums:
    """What is added up over windows: elements, squares of their differences, and squares of the reference."""

    elements: int
    squares: float
    reference_squares: float


@dataclass(frozen=True, eq=False)
class Arrays:
    """What is kept of one of the worst windows: its sound at 16 kHz, and what pictures are drawn from.

    Of one that fails the outputs too, [frames, dim].
    """

    waveform: NDArray[np.float32]
    evidence: Evidence | None = None
    port: NDArray[np.float32] | None = None
    reference: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Row:
    """A comparison, or why there is none: then the status is one of the above."""

    where: Where
    status: str
    reason: str
    comparison: Comparison | None = None
    sums: Sums | None = None
    arrays: Arrays | None = None

    @classmethod
    def of(cls, where: Where, comparison: Comparison, sums: Sums | None, arrays: Arrays | None = None) -> Row:
        """The row of a comparison."""
        return cls(where, comparison.status, comparison.reason, comparison, sums, arrays)


_FLOATS = pa.list_(pa.float32())
_ARRAYS = ("waveform", "frame_differences", "sample_reference", "sample_difference", "port_output", "reference_output")
_DRAWN = _ARRAYS[1:4]  # evidence
_IN_ROW = [name for name in names_of(Comparison) if name not in ("status", "reason")]
COLUMNS: list[pa.Field] = [
    *fields_of(Where),
    pa.field("status", pa.string()),
    pa.field("reason", pa.string()),
    *(column for column in fields_of(Comparison) if column.name in _IN_ROW),
    *fields_of(Sums),
    *(pa.field(name, _FLOATS) for name in _ARRAYS),
]
ARRAYS = frozenset(_ARRAYS)  # the columns that are large, of few rows


def to_columns(row: Row) -> dict[str, Any]:
    """A row of the table."""
    return {
        **as_row(row.where),
        **({} if row.comparison is None else as_row(row.comparison)),
        **({} if row.sums is None else as_row(row.sums)),
        **({} if row.arrays is None else _arrays(row.arrays)),
        "status": row.status,
        "reason": row.reason,
    }


def from_columns(columns: dict[str, Any]) -> Row:
    """A row as it was written; without the large columns its arrays are None. Raises ValueError for another table."""
    arrays, status = None, columns["status"]
    if columns.get("waveform") is not None:
        arrays = _read_arrays(columns)
    where = as_record(Where, columns)
    if columns.get("backend") is None:
        return Row(where, status, columns["reason"])
    sums = None if columns["elements"] is None else as_record(Sums, columns)
    return Row(where, status, columns["reason"], as_record(Comparison, columns), sums, arrays)


def check_arrays(table: pa.Table) -> None:
    """Raise ValueError where a table's large columns hold what no window has, and what nothing can be drawn of."""
    import pyarrow.compute as pc

    lengths = {name: pc.list_value_length(table.column(name)) for name in _DRAWN}
    for name in ("waveform", *_DRAWN):
        values = pc.list_flatten(table.column(name)).to_numpy()
        if not np.isfinite(values).all() or (name in _DRAWN and (values < 0).any()):
            raise ValueError(f"{name} holds what is no sound, or no difference")
    if lengths["sample_reference"] != lengths["sample_difference"] or any(
        0 in each.to_pylist() for each in lengths.values()
    ):
        raise ValueError("differences of nothing, or of something else")


def _arrays(kept: Arrays) -> dict[str, Any]:
    seen = kept.evidence
    small = (None,) * 3 if seen is None else (seen.frames, seen.reference, seen.difference)
    outputs = [None if each is None else each.ravel() for each in (kept.port, kept.reference)]
    return dict(zip(_ARRAYS, (kept.waveform, *small, *outputs), strict=True))


def _read_arrays(columns: dict[str, Any]) -> Arrays:
    waveform, frames, reference, difference, port, original = (
        None if columns.get(name) is None else np.asarray(columns[name], np.float32) for name in _ARRAYS
    )
    assert waveform is not None  # noqa: S101 - the caller looked
    evidence = None
    if frames is not None and reference is not None and difference is not None:
        evidence = Evidence(frames, reference, difference)
    return Arrays(waveform, evidence, port, original)
