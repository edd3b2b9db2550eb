"""Dataclasses as rows of a table, and back: Arrow's types follow from the fields' own.

A field of another dataclass is a struct, one that may be None is null where it is.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import cattrs
import pyarrow as pa

Record = TypeVar("Record")

_SCALARS = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string(), bytes: pa.binary()}


def fields_of(kind: type) -> list[pa.Field]:
    """List a dataclass's fields as columns, each of which may be null."""
    hints = get_type_hints(kind)
    return [pa.field(field.name, _arrow(hints[field.name])) for field in dataclasses.fields(kind)]


def names_of(kind: type) -> list[str]:
    """List the names of a dataclass's fields."""
    return [field.name for field in dataclasses.fields(kind)]


def as_row(record: Any) -> dict[str, Any]:
    """Make a row of a dataclass, its dataclasses rows in that."""
    found: dict[str, Any] = _converter().unstructure(record)
    return found


def as_record(kind: type[Record], row: Mapping[str, Any]) -> Record:
    """Make a dataclass of a row, whatever else that holds. Raises ValueError where something of it is missing."""
    try:
        return _converter().structure(row, kind)
    except cattrs.BaseValidationError as error:
        told = "; ".join(cattrs.transform_error(error))
        raise ValueError(f"no {kind.__name__}: {told}") from None


def table(rows: Iterable[Mapping[str, Any]], columns: list[pa.Field], about: Mapping[str, str]) -> pa.Table:
    """Make a table of rows, which may lack columns; ``about`` is text that goes with it, by name."""
    schema = pa.schema(columns, metadata={key.encode(): value.encode() for key, value in about.items()})
    given = list(rows)
    arrays = [pa.array([row.get(column.name) for row in given], column.type) for column in columns]
    return pa.Table.from_arrays(arrays, schema=schema)


def _arrow(kind: Any) -> pa.DataType:
    if kind in _SCALARS:
        return _SCALARS[kind]
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return pa.struct(fields_of(kind))
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return pa.string()
    if origin in (Union, types.UnionType):
        (only,) = (each for each in inner if each is not type(None))
        return _arrow(only)
    if origin is tuple:
        return pa.list_(_arrow(inner[0]))
    raise TypeError(f"no type of Arrow for {kind}")


@functools.cache
def _converter() -> cattrs.Converter:
    return cattrs.Converter()
