"""Reading a report of aves-verify from its JSON into frozen dataclasses.

They hold what is asked of a report that was written: by a bundle, a model card, a release, a comparison of two reports.
``report.schema.json`` describes everything in it. Entries that it does not describe are left out: a later version wrote
them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import reason_of
from aves_artifacts.files.documents import parse_json, read_file
from aves_artifacts.files.json_schema import schema_problem

Status = Literal["pass", "near-zero drift", "pass (reduced)", "fail"]
STATUSES: tuple[Status, ...] = ("pass", "near-zero drift", "pass (reduced)", "fail")  # from best to worst

Of = Literal["input", "window", "windows"]  # of a corpus: one window that is listed, or all of them together


@dataclass(frozen=True)
class ReportedTolerance:
    """How much a port was allowed to differ; the schema has the formula."""

    atol: float
    rtol: float
    error_ratio: float
    own_error: float


@dataclass(frozen=True)
class ReportedBound:
    """What a smaller graph may cost: dB of a clip's signal over noise, and the cosine of its worst frame."""

    min_snr: float
    min_cosine: float


@dataclass(frozen=True)
class ReportedComparison:
    """A port's output for one input and layer against the original's. A size is None where none could be measured."""

    backend: str
    clip: str
    layer: str
    tolerance: ReportedTolerance
    status: Status
    reason: str  # why it failed, or what drifted; empty on pass
    max_abs: float | None
    cosine_min: float | None
    error_ratio: float | None
    flagged: int  # elements near zero that fail a relative test; 0 where nothing could be computed
    bound: ReportedBound | None = None  # of a smaller graph
    of: Of = "input"

    @property
    def key(self) -> tuple[str, str, str]:
        """Backend, clip and layer, which tell a comparison from the others of its configuration."""
        return self.backend, self.clip, self.layer

    @property
    def passed(self) -> bool:
        """Whether it did not fail; drift near zero passes."""
        return self.status != "fail"


@dataclass(frozen=True)
class ReportedTotal:
    """One output of one port over all windows of a corpus."""

    backend: str
    layer: str
    windows: int
    failed: int  # of these
    rms: float | None  # of all differences


@dataclass(frozen=True)
class ReportedConfig:
    """What a report says about one configuration."""

    name: str
    passed: bool
    sha256: Mapping[str, str]  # of the files compared: backend or role -> digest
    problems: tuple[str, ...]  # beside the numbers
    comparisons: tuple[ReportedComparison, ...] = field(repr=False)
    totals: tuple[ReportedTotal, ...] = field(default=(), repr=False)  # of a corpus


@dataclass(frozen=True)
class ReportDocument:
    """A report that was read; it has at least one configuration."""

    passed: bool
    environment: Mapping[str, str | int | None]  # what it was measured with; None: not installed
    tolerances: Mapping[str, ReportedTolerance]  # of each backend, the widest
    configs: tuple[ReportedConfig, ...]

    @property
    def config(self) -> ReportedConfig:
        """The only configuration of a bundle's report."""
        (config,) = self.configs
        return config

    @property
    def comparisons(self) -> tuple[ReportedComparison, ...]:
        """The comparisons of all configurations, one after the other."""
        return tuple(comparison for config in self.configs for comparison in config.comparisons)


def read_report(path: Path) -> ReportDocument:
    """Read a report's JSON from a file. Raises InputError for anything else."""
    try:
        document = read_file(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason_of(error)}; give a JSON report of aves-verify") from None
    return parse_report(document, str(path))


def parse_report(document: bytes, where: str) -> ReportDocument:
    """Parse a report's JSON. Raises InputError naming ``where`` for anything else."""
    try:
        found = parse_json(document)
    except ValueError as error:
        raise InputError(f"{where}: no JSON: {reason_of(error)}; give a JSON report of aves-verify") from None
    problem = schema_problem(found, "report.schema.json")
    if problem:
        raise InputError(f"{where}: not a report of this version's aves-verify: {problem}")
    return ReportDocument(
        passed=found["passed"],
        environment=found["environment"],
        tolerances={name: _tolerance(limit) for name, limit in found["tolerance"]["by_backend"].items()},
        configs=tuple(map(_config, found["configs"])),
    )


def parse_bundle_report(document: bytes, where: str) -> ReportDocument:
    """Parse the JSON of a report on one configuration. Raises InputError naming ``where`` for anything else."""
    report = parse_report(document, where)
    if len(report.configs) != 1:
        raise InputError(f"{where}: a report on {len(report.configs)} configurations; verify this one alone")
    return report


# --- what the schema says nothing against


def _config(found: Any) -> ReportedConfig:
    totals = found["corpus"]["totals"] if "corpus" in found else ()
    return ReportedConfig(
        name=found["name"],
        passed=found["passed"],
        sha256=found["sha256"],
        problems=tuple(found["problems"]),
        comparisons=tuple(map(_comparison, found["comparisons"])),
        totals=tuple(map(_total, totals)),
    )


def _total(found: Any) -> ReportedTotal:
    return ReportedTotal(
        backend=found["backend"],
        layer=found["layer"],
        windows=int(found["windows"]),
        failed=int(found["statuses"].get("fail", 0)),
        rms=_size(found["rms"]),
    )


def _comparison(found: Any) -> ReportedComparison:
    near_zero = found["near_zero"]
    return ReportedComparison(
        backend=found["backend"],
        clip=found["clip"],
        layer=found["layer"],
        tolerance=_tolerance(found["tolerance"]),
        status=found["status"],
        reason=found["reason"],
        max_abs=_size(found["max_abs"]),
        cosine_min=found["cosine_min"],
        error_ratio=_size(found["error_ratio"]),
        flagged=0 if near_zero is None else int(near_zero["flagged"]),
        bound=None if "bound" not in found else ReportedBound(found["bound"]["min_snr"], found["bound"]["min_cosine"]),
        of=found.get("of", "input"),
    )


def _tolerance(found: Any) -> ReportedTolerance:
    names = ("atol", "rtol", "error_ratio", "own_error")
    sizes = {name: _size(found[name]) for name in names}
    return ReportedTolerance(**{name: math.inf if size is None else size for name, size in sizes.items()})


def _size(value: float | None) -> float | None:
    return None if value is None else float(value)
