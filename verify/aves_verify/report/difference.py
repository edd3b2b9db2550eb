"""What changed between two reports, from their JSON alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from aves_artifacts.bundle.report_document import MAGNITUDES, Config, Document, Entry

Kind = Literal["environment", "tolerance", "file", "status", "gone", "new", "magnitude"]

_GOOD = ("pass", "near-zero drift")


@dataclass(frozen=True)
class Change:
    """One thing that is not as it was."""

    kind: Kind
    where: str
    before: str
    after: str
    worse: bool = False  # it passed, and does not pass any more or is gone


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
    for name in MAGNITUDES:
        a, b = old.magnitudes[name], new.magnitudes[name]
        if not _alike(a, b, factor):
            yield Change("magnitude", f"{where}, {name}", _shown(a), _shown(b))


def _alike(a: float | None, b: float | None, factor: float) -> bool:
    if a is None or b is None:
        return a is b
    return max(a, b) <= factor * min(a, b) or a == b


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
