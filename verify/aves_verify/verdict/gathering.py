"""Reading all parts of a run once, one at a time: sums, what failed, and which windows are the worst."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.report_document import STATUSES
from aves_artifacts.files.address import Address
from aves_artifacts.files.concurrency import pool
from aves_verify.backends.backend import IMPLEMENTATIONS
from aves_verify.parts.identity import Identity
from aves_verify.parts.part import PartFile, damaged
from aves_verify.parts.row import SKIPPED, UNREADABLE, Row, from_columns
from aves_verify.parts.writing import at_hand
from aves_verify.report.corpus import Failure
from aves_verify.verdict.failures import Failures
from aves_verify.verdict.totals import Totals

LISTED = 20  # of each port's worst windows
_AHEAD = 8  # parts that are fetched while another is looked at: a store far away takes its time for each
# The worst of every kind that a table of ports tells, so that its numbers are those of all windows: whether it is the
# largest that is worst.
_EXTREMES = {"error_ratio": True, "max_rel": True, "mean_abs": True, "cosine_min": False}


@dataclass(frozen=True)
class Listed:
    """A row that is told of by itself, and where it lies; those of lower rank are worse."""

    rank: tuple[Any, ...]
    part: str
    index: int
    row: Row


@dataclass
class Gathered:
    """What was found in all parts."""

    totals: dict[tuple[str, str], Totals] = field(default_factory=dict)
    failures: Failures = field(default_factory=Failures)
    missing: list[str] = field(default_factory=list)  # names, each with what is wrong
    unreadable: dict[str, str] = field(default_factory=dict)  # recording -> reason, the first of several
    skipped: int = 0
    windows: int = 0
    samples: int = 0
    environments: list[dict[str, str]] = field(default_factory=list)
    backends: dict[str, dict[str, str]] = field(default_factory=dict)
    worst: dict[str, list[Listed]] = field(default_factory=dict)  # by backend
    extremes: dict[tuple[str, str], Listed] = field(default_factory=dict)  # by backend, and by what is extreme

    def add(self, name: str, part: PartFile) -> None:
        """Take in a part of this name. Raises InputError for one whose numbers cannot be."""
        try:
            self._add(name, part)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise damaged(part.where, error) from None

    def _add(self, name: str, part: PartFile) -> None:
        facts, rows = part.facts, part.columns()  # all are read before one is taken in
        if min(facts.windows, facts.samples) < 0:
            raise ValueError("fewer than no windows")
        self.windows += facts.windows
        self.samples += facts.samples
        if facts.environment not in self.environments:
            self.environments.append(facts.environment)
        self.backends = self.backends or facts.backends
        for index, row in enumerate(rows):
            self._row(name, index, row)
        for backend, outputs in facts.differences.items():
            for layer, counts in outputs.items():
                self._of(backend, layer).add_counts(counts)

    def _row(self, name: str, index: int, row: Mapping[str, Any]) -> None:
        status, where = row["status"], str(row["recording"])
        if row["backend"] is not None:
            self._of(row["backend"], row["layer"]).add(row)
            self._rank(name, index, row)
            if status == "fail":
                self.failures.add(row["backend"], row["reason"], str(row["clip"]))
        elif status == SKIPPED:
            self.skipped += 1
        elif status == UNREADABLE:
            self.unreadable[where] = min(self.unreadable.get(where, row["reason"]), row["reason"])

    def _rank(self, name: str, index: int, row: Mapping[str, Any]) -> None:
        """Keep a row that is among the worst of its backend; of equals the first by name, whatever came first."""
        backend, noise = row["backend"], row["noise"]
        place = (row["recording"], row["start"], row["layer"], name, index)
        size = row["max_abs"] / max(1.0, noise["scale"] if noise else 1.0)
        kept = self.worst.setdefault(backend, [])
        rank: tuple[Any, ...] = (-STATUSES.index(row["status"]), -size, *place)
        if len(kept) < LISTED or rank < kept[-1].rank:
            kept.append(Listed(rank, name, index, from_columns(dict(row))))
            kept.sort(key=lambda each: each.rank)
            del kept[LISTED:]
        if row["flips"] is not None:
            return
        for extreme, largest in _EXTREMES.items():
            if row[extreme] is None:
                continue
            rank = (-row[extreme] if largest else row[extreme], *place)
            held = self.extremes.get((backend, extreme))
            if held is None or rank < held.rank:
                self.extremes[backend, extreme] = Listed(rank, name, index, from_columns(dict(row)))

    @property
    def reasons(self) -> tuple[Failure, ...]:
        """Why windows fail, and recordings cannot be read: each of these counts once."""
        every = Failures(dict(self.failures.counts), dict(self.failures.examples))
        for where, reason in self.unreadable.items():
            every.add("", reason, where)
        return every.found()

    @property
    def in_order(self) -> list[Totals]:
        """The totals in the order in which backends are run and give their outputs, whichever part came first."""
        known = list(IMPLEMENTATIONS)
        place = {name: known.index(name) if name in known else len(known) for name, _ in self.totals}
        return [
            totals for (name, _), totals in sorted(self.totals.items(), key=lambda item: (place[item[0][0]], *item[0]))
        ]

    @property
    def listed(self) -> list[Listed]:
        """The rows that are told of one by one, port by port, the worst first; each once."""
        every = [each for name in sorted(self.worst) for each in self.worst[name]]
        every += [self.extremes[key] for key in sorted(self.extremes)]
        return list({(each.part, each.index): each for each in every}.values())

    def _of(self, backend: str, layer: str) -> Totals:
        return self.totals.setdefault((backend, layer), Totals(backend, layer))


def gather(parts: Address, identity: Identity, shards: Sequence[str]) -> Gathered:
    """Read the parts of these shards. What is missing or damaged is told. Raises InputError for a store's trouble."""
    found = Gathered()
    names = {identity.part(shard): shard for shard in shards}
    for name, path in _at_hand(parts, list(names)):
        if path is None:
            found.missing.append(f"{name}: not there")
            continue
        try:
            part = PartFile(path, f"{parts.url}/{name}")
            if (part.facts.run, part.facts.audio) != (identity.run, names[name]):
                raise InputError(f"{parts.url}/{name}: damaged: it is of another run, or of another shard")
            found.add(name, part)
        except InputError as error:
            found.missing.append(str(error))
    return found


def _at_hand(parts: Address, names: Sequence[str]) -> Iterator[tuple[str, Path | None]]:
    """The files in order, None for one that is not there; some are fetched ahead, and kept while they are looked at."""
    ahead: deque[tuple[str, AbstractContextManager[Path | None], Future[Path | None]]] = deque()
    left = iter(names)
    with pool(_AHEAD) as threads:
        try:
            while True:
                for name in itertools.islice(left, _AHEAD - len(ahead)):
                    opened = at_hand(parts, name)
                    ahead.append((name, opened, threads.submit(opened.__enter__)))
                if not ahead:
                    return
                name, held, fetched = ahead[0]
                yield name, fetched.result()
                ahead.popleft()
                held.__exit__(None, None, None)
        finally:
            for _, held, fetched in ahead:  # after an error
                if fetched.exception() is None:
                    held.__exit__(None, None, None)
