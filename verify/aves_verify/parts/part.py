"""A part: what was found out about one shard, as one Parquet file whose bytes follow from the shard alone.

It holds no time, no name of a machine and no place of a file: who makes it again makes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line, quoted
from aves_artifacts.files.documents import parse_json
from aves_verify.parts.row import ARRAYS, COLUMNS, Row, check_arrays, from_columns, to_columns
from aves_verify.parts.table import as_record, as_row, table

SCHEMA = 1
KIND = "aves-verify corpus part"
_SHA256 = " sha256"


@dataclass(frozen=True)
class Facts:
    """What a part says of itself.

    ``run`` is the digest of everything that decides what is in it but the audio, whose digest is ``audio``.
    ``differences``: by backend and output how often |differences| of each size were seen, see ``differences.counted``.
    """

    schema: int
    run: str
    audio: str
    rows: int
    windows: int
    samples: int  # at 16 kHz
    backends: dict[str, dict[str, str]]  # the version of each, and what else decides how it computes
    environment: dict[str, str]
    differences: dict[str, dict[str, dict[int, int]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """A shard's rows, and what is said of all of them."""

    facts: Facts
    rows: tuple[Row, ...]


def to_bytes(part: Part) -> bytes:
    """Write a part, with a checksum of each page."""
    about = sealed(KIND, as_row(part.facts))
    return parquet(table(map(to_columns, part.rows), COLUMNS, about), split=sorted(ARRAYS))


def parquet(content: pa.Table, split: list[str]) -> bytes:
    """Write a table; of the columns to ``split``, lists of numbers, see ``how_written``."""
    stream = BytesIO()
    pq.write_table(content, stream, **how_written([name for name in content.column_names if name not in split], split))
    return stream.getvalue()


def how_written(dictionary: Sequence[str], split: Sequence[str]) -> dict[str, Any]:
    """Give the options by which all parts are written: without loss, and with a checksum of each page.

    In the columns of a ``dictionary`` equal values are written once; in those to ``split``, lists of numbers, bytes lie
    by their significance.
    """
    return {
        "compression": "zstd",
        "use_dictionary": list(dictionary),
        "use_byte_stream_split": [f"{name}.list.element" for name in split],
        "write_page_checksum": True,
    }


class PartFile:
    """A part that is read: its facts, and its rows."""

    def __init__(self, source: bytes | Path, where: str) -> None:
        """Raise InputError for what is no part, or a damaged one; ``where`` it is from is for messages."""
        self.where = where
        try:
            self._file = open_parquet(source)
            self.facts = facts_of(self._file, KIND, Facts)
            if self.facts.schema != SCHEMA:
                raise ValueError(f"schema {quoted(self.facts.schema)}, this version reads {SCHEMA}")
            if not self._file.schema_arrow.equals(pa.schema(COLUMNS)):
                raise ValueError("its columns are others")
            if self._file.metadata.num_rows != self.facts.rows:
                raise ValueError(f"{self._file.metadata.num_rows} rows, expected {self.facts.rows}")
        except (pa.ArrowException, OSError, ValueError, TypeError) as error:
            raise damaged(where, error) from None

    def columns(self) -> list[dict[str, Any]]:
        """Read the rows but for their arrays, as they lie in the file. Raises InputError where they are damaged."""
        names = [column.name for column in COLUMNS if column.name not in ARRAYS]
        try:
            table = self._file.read()  # all of it, whatever is asked for: damage anywhere is damage
            check_arrays(table)
            rows: list[dict[str, Any]] = table.select(names).to_pylist()
            return rows
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
            raise damaged(self.where, error) from None

    def rows(self, indices: Collection[int] | None = None) -> Iterator[tuple[int, Row]]:
        """Read rows with their arrays, those of these numbers or all. Raises InputError where they are damaged."""
        try:
            table = self._file.read()
            for index in range(table.num_rows) if indices is None else sorted(indices):
                (columns,) = table.slice(index, 1).to_pylist()
                yield index, from_columns(columns)
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
            raise damaged(self.where, error) from None


def open_parquet(source: bytes | Path) -> pq.ParquetFile:
    """Open a Parquet file whose pages are held against their checksums as they are read."""
    return pq.ParquetFile(BytesIO(source) if isinstance(source, bytes) else source, page_checksum_verification=True)


def is_intact(path: Path, run: str | None, audio: str) -> bool:
    """Whether every page of a file, and what it says of itself, is what was written, and it belongs where it lies.

    It does where it says that it is of this ``run`` and ``audio``, of which what is about no sound has none: a file
    that was moved into another one's place is whole, too. Of parts that say nothing of it the ``run`` is None.
    """
    try:
        with open_parquet(path) as file:
            for _ in file.iter_batches():
                pass
            metadata: Mapping[bytes, bytes] = file.schema_arrow.metadata or {}
        said = [_unsealed(metadata, name) for name in metadata if name + _SHA256.encode() in metadata]
    except (pa.ArrowException, OSError, ValueError):
        return False
    return run is None or any((facts.get("run"), facts.get("audio", "")) == (run, audio) for facts in said)


def sealed(kind: str, facts: Mapping[str, Any]) -> dict[str, str]:
    """What a file says of itself, as its metadata, with a hash: the checksums are of pages alone."""
    text = json.dumps(facts, sort_keys=True, allow_nan=False)
    return {kind: text, f"{kind}{_SHA256}": hashlib.sha256(text.encode()).hexdigest()}


def facts_of(file: pq.ParquetFile, kind: str, what: type[Any]) -> Any:
    """Read what a file says of itself under this name. Raises ValueError where it says nothing, or is damaged."""
    metadata: Mapping[bytes, bytes] = file.schema_arrow.metadata or {}
    if kind.encode() not in metadata:
        raise ValueError("a Parquet file of something else")
    return as_record(what, _unsealed(metadata, kind.encode()))


def _unsealed(metadata: Mapping[bytes, bytes], kind: bytes) -> Mapping[str, Any]:
    """What ``sealed`` put there. Raises ValueError where it is not that any more."""
    text = metadata[kind]
    same = hashlib.sha256(text).hexdigest().encode() == metadata.get(kind + _SHA256.encode())
    if not same or not isinstance(facts := parse_json(text), dict):
        raise ValueError("what it says of itself is not what was written")
    return facts


def damaged(where: str, error: Exception) -> InputError:
    """The error for a file that cannot be read as what it should be."""
    return InputError(f"{where}: damaged, or no part ({first_line(error)})")
