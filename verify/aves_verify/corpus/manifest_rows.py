"""The rows of a manifest in any format, read so that a file of any content takes bounded time and memory."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from aves_artifacts.base.errors import MOST_TOLD, InputError
from aves_artifacts.base.messages import listed, quoted, reason_of
from aves_artifacts.base.process import LimitError, Limits, call_apart
from aves_artifacts.files.documents import parse_json

PATH_COLUMNS = (
    *("audio_filepath", "audio_path", "path", "audio", "file", "filename", "file_name", "filepath", "file_path"),
    *("wav", "wav_path", "wav_filepath", "url"),
)
TEXT_ENDINGS = (".txt", ".lst", ".list")
TABLE_ENDINGS = (".csv", ".tsv")
JSON_ENDINGS = (".json", ".jsonl", ".ndjson")
_SEGMENT_COLUMNS = ("offset", "duration")
_MOST_BYTES = 4 << 30  # of text; a line for each of ten million recordings
_MOST_ROWS = 20_000_000  # with those that are empty or name the same again, of which a small file may have any number
_LONGEST_LINE = 1 << 20
_LONGEST_CELL = 1 << 13  # characters, more than a path has
_BATCH = 4096
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"

Row = tuple[int, Mapping[str, Any] | str]  # its line's number, and what it says: a path, columns, or why it is bad


class BadRow(str):
    """Why a row is none."""

    __slots__ = ()


def rows(stream: BinaryIO, name: str) -> Iterator[Row]:
    """The rows of a manifest that is called ``name``: its line's number, and a path, columns, or a BadRow.

    Raises InputError for what is no manifest as a whole, and OSError and StoreError as the stream.
    """
    lower = name.lower()
    if _begins(stream, _PARQUET):
        return _parquet_rows(stream, name)
    if lower.endswith(".parquet"):
        raise InputError(f"{name}: damaged, or not a Parquet file")
    lines = _lines(stream, name)
    first = next(((number, line) for number, line in lines if line.strip() and not _is_comment(line)), None)
    if first is None:
        raise InputError(f"{name}: names no recordings; expected a path on each line, or a table with a column of them")
    lines = itertools.chain([first], lines)
    if first[1].lstrip().startswith("{"):
        return _json_rows(lines)
    plain = lower.removesuffix(".gz")
    if plain.endswith(JSON_ENDINGS):
        raise InputError(f'{name}: expected JSON lines: an object such as {{"audio_filepath": ...}} on each line')
    delimiter = _delimiter(first[1])
    if delimiter is not None:
        return _table_rows(lines, delimiter, name)
    if plain.endswith(TABLE_ENDINGS):
        raise InputError(f"{name}: no column with paths; expected one of {listed(PATH_COLUMNS, len(PATH_COLUMNS))}")
    return ((number, line.strip()) for number, line in lines if line.strip() and not _is_comment(line))


def begins_as_manifest(begin: bytes) -> bool:
    """Whether a file without a telling name is a manifest, by its first bytes: a table, JSON, or a path with sound."""
    if begin.startswith(_PARQUET):
        return True
    if begin.startswith(_GZIP):
        begin = _inflated(begin)
    try:
        text = begin.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(begin) - 4:  # else it is cut within a letter
            return False
        text = begin[: error.start].decode("utf-8-sig")
    line = next((line.strip() for line in text.splitlines() if line.strip() and not _is_comment(line)), "")
    is_path = line.lower().endswith((".wav", ".flac", ".ogg", ".mp3", ".tar"))
    return "\0" not in text and (line.startswith("{") or is_path or _delimiter(line) is not None)


def _begins(stream: BinaryIO, magic: bytes) -> bool:
    stream.seek(0)
    begin = stream.read(len(magic))
    stream.seek(0)
    return begin == magic


def _inflated(begin: bytes) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(begin, 4096)
    except zlib.error:
        return b"\0"


def _lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    """A text's lines with their numbers, unpacked where it is gzip's. Raises InputError."""
    opened = gzip.GzipFile(fileobj=stream) if _begins(stream, _GZIP) else stream
    total = 0
    try:
        for number in itertools.count(1):
            line = opened.readline(_LONGEST_LINE + 1)
            if not line:
                return
            total += len(line)
            if number > _MOST_ROWS:
                raise _too_many(name)
            if len(line) > _LONGEST_LINE or total > _MOST_BYTES:
                limit, what = (_MOST_BYTES, "in all") if total > _MOST_BYTES else (_LONGEST_LINE, "in a line")
                raise InputError(f"{name}: line {number}: more than {limit:,} bytes {what}, which no manifest has")
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{name}: line {number}: not text in UTF-8; expected a manifest in UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{name}: damaged: {reason_of(error)}") from None


def _json_rows(lines: Iterator[tuple[int, str]]) -> Iterator[Row]:
    for number, line in lines:
        if line.strip():
            yield number, _object(line)


def _object(line: str) -> Mapping[str, Any] | BadRow:
    try:
        value = parse_json(line)
    except ValueError as error:
        return BadRow(f"not JSON: {reason_of(error)}")
    return value if isinstance(value, dict) else BadRow("expected an object in braces")


def _table_rows(lines: Iterator[tuple[int, str]], delimiter: str, name: str) -> Iterator[Row]:
    numbers = [0]

    def texts() -> Iterator[str]:
        for number, line in lines:
            numbers[0] = number
            yield line

    reader = csv.reader(texts(), delimiter=delimiter, strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
    except csv.Error as error:
        yield numbers[0], BadRow(reason_of(error))
        return
    _refuse_twice(header, name)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield numbers[0], BadRow(reason_of(error))
            continue
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield numbers[0], _columns(header, cells)


def _columns(header: list[str], cells: list[str]) -> Mapping[str, Any] | BadRow:
    if len(cells) != len(header):
        return BadRow(f"{len(cells)} columns; expected {len(header)} as in the first line")
    return {name: cell for name, cell in zip(header, cells, strict=True) if cell != ""}


def _too_many(name: str) -> InputError:
    return InputError(f"{name}: more than {_MOST_ROWS:,} rows; give several manifests, one at a time")


def _parquet_rows(stream: BinaryIO, name: str) -> Iterator[Row]:
    """The rows of a Parquet file, unpacked in a process with limits: a page tells its size, and a row its value, alone.

    So a file of some kilobytes may hold gigabytes.
    """
    with tempfile.NamedTemporaryFile(prefix="aves-manifest-") as copy:
        shutil.copyfileobj(stream, copy)
        copy.flush()
        size = copy.tell()
        limits = Limits(60 + size / 2e5, (1 << 30) + 40 * size)
        try:
            names, found = call_apart(__name__, "parquet_columns", Path(copy.name), name, limits=limits)
        except LimitError as error:
            raise InputError(f"{name}: cannot be unpacked: {error}; give the paths alone") from None
    for number, cells in enumerate(zip(*found, strict=True), start=1):
        yield number, {column: cell for column, cell in zip(names, cells, strict=True) if cell is not None}


def parquet_columns(path: Path, name: str) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    """Read the columns of a Parquet file that a manifest has: their names, and their values. Raises InputError."""
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path, page_checksum_verification=True)
        names = file.schema_arrow.names
        column = next((each for each in PATH_COLUMNS if each in map(str.lower, names)), None)
        if column is None:
            raise InputError(f"{name}: no column with paths; expected one of {listed(PATH_COLUMNS, len(PATH_COLUMNS))}")
        wanted = [each for each in names if each.lower() in (column, *_SEGMENT_COLUMNS)]
        _refuse_twice([each.lower() for each in wanted], name)
        if file.metadata.num_rows > _MOST_ROWS:
            raise _too_many(name)
        found: list[list[Any]] = [[] for _ in wanted]
        bad = 0
        for batch in file.iter_batches(batch_size=_BATCH, columns=wanted):
            for values, each in zip(found, wanted, strict=True):
                values += map(_cell, batch.column(each).to_pylist())
                bad += sum(not isinstance(value, str) for value in values[-len(batch) :] if each.lower() == column)
            if bad > MOST_TOLD:  # it is refused, perhaps for the sound itself that is in it
                break
        return [each.lower() for each in wanted], found
    except MemoryError:  # Arrow's own is one of its exceptions too
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{name}: damaged, or not a Parquet file: {reason_of(error)}") from None


def _cell(value: Any) -> Any:
    """A value as far as messages tell it: of what is no path, such as a sound, nothing but the type."""
    if isinstance(value, str):
        return value[:_LONGEST_CELL]
    return type(value)() if isinstance(value, bytes | list | dict) else value


def _refuse_twice(columns: Sequence[str], name: str) -> None:
    """Raise InputError where a column that is read stands there twice: some readers take the first, some the last."""
    for column in (*PATH_COLUMNS, *_SEGMENT_COLUMNS):
        if columns.count(column) > 1:
            raise InputError(f"{name}: the column {quoted(column)} stands there twice; keep one")


def _delimiter(line: str) -> str | None:
    """What separates a table's columns, of which one has a path; None where this is no table's first line."""
    for delimiter in ("\t", ",", ";"):
        try:
            cells = next(csv.reader(io.StringIO(line[:_BATCH], newline=""), delimiter=delimiter), [])
        except csv.Error:  # a letter that ends a line stands in it
            return None
        if any(cell.strip().lower() in PATH_COLUMNS for cell in cells):
            return delimiter
    return None


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")
