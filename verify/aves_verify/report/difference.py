"""Finding what changed between two reports, from their JSON alone."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeVar

from aves_artifacts.bundle.report_document import ReportDocument, ReportedComparison, ReportedConfig, ReportedTotal

Kind = Literal["environment", "tolerance", "file", "status", "gone", "new", "magnitude"]

ALL = "all windows of the corpus"  # what they are called, however many there are

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Change:
    """One thing that differs between two reports."""

    kind: Kind
    where: str
    before: str
    after: str
    worse: bool = False  # it passed, and does not pass any more or is gone


def differences(before: ReportDocument, after: ReportDocument, factor: float) -> list[Change]:
    """List what changed, what got worse first; numbers count that changed by more than ``factor``."""
    changes = [
        *_values("environment", _environment(before), _environment(after), ""),
        *_values("tolerance", _tolerances(before), _tolerances(after), ""),
    ]
    for name, old, new in _config_pairs(before.configs, after.configs):
        if old is None or new is None:
            changes.append(_whole(name, old, new))
            continue
        changes += _values("file", old.sha256, new.sha256, f"{name}, ")
        if old.passed != new.passed:
            told = "; ".join(p for p in new.problems if p not in old.problems)
            after_text = "passed" if new.passed else f"failed{told and f': {told}'}"
            changes.append(Change("status", name, "passed" if old.passed else "failed", after_text, worse=old.passed))
        for key, one, other in _pairs(_comparisons(old), _comparisons(new)):
            if _is_told(one, other):
                changes += _comparison(", ".join((name, *key)), one, other, factor)
        for key, total, now in _pairs(_totals(old), _totals(new)):
            if total is not None and now is not None:  # one that is missing is told above
                changes += _all_windows(", ".join((name, *key)), total, now, factor)
    return sorted(changes, key=lambda change: not change.worse)


def _pairs(old: Mapping[Key, Value], new: Mapping[Key, Value]) -> Iterator[tuple[Key, Value | None, Value | None]]:
    """What both have under each key; None where one of them lacks it."""
    return ((key, old.get(key), new.get(key)) for key in {**old, **new})


def _config_pairs(
    before: Sequence[ReportedConfig], after: Sequence[ReportedConfig]
) -> Iterator[tuple[str, ReportedConfig | None, ReportedConfig | None]]:
    """What both reports have under each name; of several of one name those of the same files, and others in order."""
    named: dict[str, tuple[list[ReportedConfig], list[ReportedConfig]]] = {}
    for place, configs in enumerate((before, after)):
        for config in configs:
            named.setdefault(config.name, ([], []))[place].append(config)
    for name, (old, new) in named.items():
        partner = _partners(old, new)
        pairs: list[tuple[ReportedConfig | None, ReportedConfig | None]] = [
            (one, new[partner[i]] if i in partner else None) for i, one in enumerate(old)
        ]
        taken = set(partner.values())
        pairs += [(None, one) for j, one in enumerate(new) if j not in taken]
        for number, (one, other) in enumerate(pairs, start=1):
            yield f"{name} ({number})" if number > 1 else name, one, other


def _partners(old: Sequence[ReportedConfig], new: Sequence[ReportedConfig]) -> dict[int, int]:
    """Which of the new ones each of the old ones is: that of the same files, of the same original, or the next one."""
    found: dict[int, int] = {}
    alike: tuple[Callable[[Mapping[str, str]], object], ...] = (
        lambda sha256: frozenset(sha256.items()),
        lambda sha256: sha256.get("fairseq", sha256.get("transformers")),
        lambda _: None,
    )
    for files in alike:
        left: dict[object, deque[int]] = defaultdict(deque)
        taken = set(found.values())
        for j, config in enumerate(new):
            if j not in taken:
                left[files(config.sha256)].append(j)
        for i, config in enumerate(old):
            if i not in found and left[files(config.sha256)]:
                found[i] = left[files(config.sha256)].popleft()
    return found


def _comparisons(config: ReportedConfig) -> dict[tuple[str, str, str], ReportedComparison]:
    """Each under its key; those of all windows of a corpus under the same name, however many windows there are."""
    return {(c.backend, ALL if c.of == "windows" else c.clip, c.layer): c for c in config.comparisons}


def _totals(config: ReportedConfig) -> dict[tuple[str, str, str], ReportedTotal]:
    return {(total.backend, ALL, total.layer): total for total in config.totals}


def _is_told(old: ReportedComparison | None, new: ReportedComparison | None) -> bool:
    """Whether a comparison is looked at: not a window that only one report lists among the worst, which is no loss."""
    both = old is not None and new is not None
    return both or all(comparison is None or comparison.of != "window" for comparison in (old, new))


def _all_windows(where: str, old: ReportedTotal, new: ReportedTotal, factor: float) -> Iterator[Change]:
    """What changed of all windows of a corpus; where fewer pass than before, some fail or are not looked at."""
    if (old.windows, old.failed) != (new.windows, new.failed):
        before, after = (f"{each.windows - each.failed:,} of {each.windows:,} pass" for each in (old, new))
        yield Change(
            "status", f"{where}, windows", before, after, worse=new.windows - new.failed < old.windows - old.failed
        )
    if not _alike(old.rms, new.rms, factor):
        yield Change("magnitude", f"{where}, rms", _shown(old.rms), _shown(new.rms))


def _environment(report: ReportDocument) -> dict[str, str]:
    return {name: "not installed" if value is None else str(value) for name, value in report.environment.items()}


def _tolerances(report: ReportDocument) -> dict[str, str]:
    return {name: json.dumps(asdict(limit), sort_keys=True) for name, limit in report.tolerances.items()}


def _values(kind: Kind, old: Mapping[str, str], new: Mapping[str, str], prefix: str) -> Iterator[Change]:
    for name, one, other in _pairs(old, new):
        if one != other:
            yield Change(kind, f"{prefix}{name}", "-" if one is None else one, "-" if other is None else other)


def _whole(name: str, old: ReportedConfig | None, new: ReportedConfig | None) -> Change:
    """A configuration that only one of the reports has."""
    if old is not None:
        return Change("gone", name, "passed" if old.passed else "failed", "-", worse=old.passed)
    return Change("new", name, "-", "passed" if new is not None and new.passed else "failed")


def _comparison(
    where: str, old: ReportedComparison | None, new: ReportedComparison | None, factor: float
) -> Iterator[Change]:
    if old is None or new is None:
        kind: Kind = "new" if old is None else "gone"
        worse = old is not None and old.passed
        yield Change(kind, where, old.status if old else "-", new.status if new else "-", worse=worse)
        return
    if old.status != new.status:
        yield Change("status", where, old.status, new.status, worse=old.passed and not new.passed)
    magnitudes = {"max_abs": (old.max_abs, new.max_abs), "error_ratio": (old.error_ratio, new.error_ratio)}
    for name, (a, b) in magnitudes.items():
        if not _alike(a, b, factor):
            yield Change("magnitude", f"{where}, {name}", _shown(a), _shown(b))


def _alike(a: float | None, b: float | None, factor: float) -> bool:
    if a is None or b is None:
        return a is b
    return max(a, b) <= factor * min(a, b) or a == b


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
