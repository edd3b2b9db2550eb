"""Sorting failures by their reason, whatever numbers stand in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from aves_verify.report.corpus import Failure

_NUMBER = re.compile(r"[-+]?\d[\d,.]*(?:e[-+]?\d+)?")
_MOST_KINDS, _LONGEST = 50, 300


@dataclass
class Failures:
    """Counts by backend and reason; of each the first example by name, so that no order matters."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    examples: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    def add(self, backend: str, reason: str, where: str) -> None:
        """Count a window or recording of this name that failed."""
        given = reason.removeprefix(f"{where}: ")
        key = backend, _NUMBER.sub("…", given.replace(where, "…"))[:_LONGEST]
        self.counts[key] = self.counts.get(key, 0) + 1
        self.examples[key] = min(self.examples.get(key, (where, reason)), (where, reason))

    def found(self) -> tuple[Failure, ...]:
        """The most frequent reasons, and one for all others where there are too many."""
        by_count = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        told = [
            Failure(backend, reason, count, self.examples[backend, reason][1], self.examples[backend, reason][0])
            for (backend, reason), count in by_count[:_MOST_KINDS]
        ]
        if rest := by_count[_MOST_KINDS:]:
            first = rest[0][0]
            where, example = self.examples[first]
            told.append(Failure(first[0], f"{len(rest)} other reasons", sum(n for _, n in rest), example, where))
        return tuple(told)
