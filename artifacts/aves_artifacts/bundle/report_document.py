"""The report of aves-verify, read from its JSON into typed nouns."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aves_artifacts.base.documents import parse_json, read_file
from aves_artifacts.base.errors import InputError
from aves_artifacts.base.json_schema import schema_problem
from aves_artifacts.base.messages import reason_of


def read_report(document: bytes, where: str) -> dict[str, Any]:
    """Parse a report of one configuration. Raises InputError naming ``where`` for anything else."""
    try:
        report = parse_json(document)
    except ValueError as error:
        raise InputError(f"{where}: cannot be read: {reason_of(error)}; write it with aves-verify --json") from None
    problem = schema_problem(report, "report.schema.json")
    if problem:
        raise InputError(f"{where}: not a report of aves-verify: {problem}")
    if len(report["configs"]) != 1:
        raise InputError(
            f"{where}: a report on {len(report['configs'])} configurations; verify this one alone, with --bundle DIR"
        )
    return dict(report)


MAGNITUDES = ("max_abs", "error_ratio")


Key = tuple[str, str, str]  # backend, clip, layer


@dataclass(frozen=True)
class Entry:
    """One comparison of a report that was read."""

    status: str
    magnitudes: Mapping[str, float | None]  # None: not measured, or infinite


@dataclass(frozen=True)
class Config:
    """One configuration of a report that was read."""

    passed: bool
    files: Mapping[str, str]
    problems: tuple[str, ...]
    entries: Mapping[Key, Entry] = field(repr=False)


@dataclass(frozen=True)
class Document:
    """A report that was read."""

    environment: Mapping[str, str]
    tolerances: Mapping[str, str]
    configs: Mapping[str, Config]


def read_document(path: Path) -> Document:
    """Read a report's JSON. Raises InputError for anything else."""
    try:
        found = parse_json(read_file(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason_of(error)}; give a report of --json") from None
    except ValueError:
        raise InputError(f"{path}: this is no JSON; give a report of aves-verify --json") from None
    problem = schema_problem(found, "report.schema.json")
    if problem:
        raise InputError(f"{path}: no report of this version's aves-verify --json: {problem}")
    return _document(found)


def _document(found: Any) -> Document:
    return Document(
        {name: "not installed" if value is None else str(value) for name, value in found["environment"].items()},
        {name: json.dumps(limit, sort_keys=True) for name, limit in found["tolerance"]["by_backend"].items()},
        {config["name"]: _config(config) for config in found["configs"]},
    )


def _config(found: Any) -> Config:
    return Config(
        passed=found["passed"],
        files=found["sha256"],
        problems=tuple(found["problems"]),
        entries={
            (c["backend"], c["clip"], c["layer"]): Entry(
                c["status"], {name: _magnitude(c[name]) for name in MAGNITUDES}
            )
            for c in found["comparisons"]
        },
    )


def _magnitude(value: float | None) -> float | None:
    try:
        return float(value) if value is not None and math.isfinite(value) else None
    except OverflowError:  # an integer of hundreds of digits
        return None
