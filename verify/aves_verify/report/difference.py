"""What changed between two reports, from their JSON alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.json_schema import schema_problem

Kind = Literal["environment", "tolerance", "file", "status", "gone", "new", "magnitude"]

_MAGNITUDES = ("max_abs", "error_ratio")
_GOOD = ("pass", "near-zero drift")

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


@dataclass(frozen=True)
class Change:
    """One thing that is not as it was."""

    kind: Kind
    where: str
    before: str
    after: str
    worse: bool = False  # it passed, and does not pass any more or is gone


def read_document(path: Path) -> Document:
    """Read a report's JSON. Raises InputError for anything else."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}; give a report of --json") from None
    except (ValueError, RecursionError):
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
                c["status"], {name: _magnitude(c[name]) for name in _MAGNITUDES}
            )
            for c in found["comparisons"]
        },
    )


def _entry(found: Any) -> Entry:
    return Entry(found["status"], {name: _magnitude(found[name]) for name in _MAGNITUDES})


def _magnitude(value: float | None) -> float | None:
    try:
        return float(value) if value is not None and math.isfinite(value) else None
    except OverflowError:  # an integer of hundreds of digits
        return None


def differences(before: Document, after: Document, factor: float) -> list[Change]:
    """What changed, what got worse first. Magnitudes count that changed by more than ``factor``."""
    changes = [
        *_values("environment", before.environment, after.environment, ""),
        *_values("tolerance", before.tolerances, after.tolerances, ""),
    ]
    for name in {**before.configs, **after.configs}:
        old, new = before.configs.get(name), after.configs.get(name)
        if old is None or new is None:
            changes.append(_whole(name, old, new))
            continue
        changes += _values("file", old.files, new.files, f"{name}, ")
        if old.passed != new.passed:
            told = "; ".join(p for p in new.problems if p not in old.problems)
            after_text = "passed" if new.passed else f"failed{told and f': {told}'}"
            changes.append(Change("status", name, "passed" if old.passed else "failed", after_text, worse=old.passed))
        for key in {**old.entries, **new.entries}:
            where = ", ".join((name, *key))
            changes += _comparison(where, old.entries.get(key), new.entries.get(key), factor)
    return sorted(changes, key=lambda change: not change.worse)


def _values(kind: Kind, old: Mapping[str, str], new: Mapping[str, str], prefix: str) -> Iterator[Change]:
    for name in {**old, **new}:
        if old.get(name) != new.get(name):
            yield Change(kind, f"{prefix}{name}", old.get(name, "-"), new.get(name, "-"))


def _whole(name: str, old: Config | None, new: Config | None) -> Change:
    """A configuration that only one of the reports has."""
    if old is not None:
        return Change("gone", name, "passed" if old.passed else "failed", "-", worse=old.passed)
    return Change("new", name, "-", "passed" if new is not None and new.passed else "failed")


def _comparison(where: str, old: Entry | None, new: Entry | None, factor: float) -> Iterator[Change]:
    if old is None or new is None:
        kind: Kind = "new" if old is None else "gone"
        worse = old is not None and old.status in _GOOD
        yield Change(kind, where, old.status if old else "-", new.status if new else "-", worse=worse)
        return
    if old.status != new.status:
        worse = old.status in _GOOD and new.status not in _GOOD
        yield Change("status", where, old.status, new.status, worse=worse)
    for name in _MAGNITUDES:
        a, b = old.magnitudes[name], new.magnitudes[name]
        if not _alike(a, b, factor):
            yield Change("magnitude", f"{where}, {name}", _shown(a), _shown(b))


def _alike(a: float | None, b: float | None, factor: float) -> bool:
    if a is None or b is None:
        return a is b
    return max(a, b) <= factor * min(a, b) or a == b


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
