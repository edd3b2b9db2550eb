"""The result of a run: one Report, with a ConfigReport for each encoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aves_convert.sounds.clip import AnyClip
from aves_verify.comparison.compare import Comparison, Tolerance
from aves_verify.comparison.evidence import Evidence
from aves_verify.comparison.task_cost import TaskCost
from aves_verify.comparison.weights import WeightSearch
from aves_verify.report.corpus import Corpus
from aves_verify.sounds.ran import Ran

if TYPE_CHECKING:  # a report can be made and written without torch
    from aves_verify.audit.audit import Audit
    from aves_verify.explanation.explain import Explanation
    from aves_verify.explanation.sensitivity import Sensitivity

SCHEMA = 1


@dataclass(frozen=True)
class ConfigReport:
    """What was found about one configuration."""

    name: str
    source: str  # "stand-in", "published" or "file"
    reference: str  # the backend that the others are compared with
    sha256: Mapping[str, str]  # of the files compared
    comparisons: tuple[Comparison, ...] = field(repr=False)
    seconds: Mapping[str, float]  # load, and one entry per backend
    problems: tuple[str, ...] = ()  # beside the numbers: files that are not the manifest's, unreadable clips
    explanations: tuple[Explanation, ...] = field(default=(), repr=False)
    sensitivities: tuple[Sensitivity, ...] = field(default=(), repr=False)
    ran: Ran | None = None  # what the ports were run on, in ranges
    notes: tuple[str, ...] = ()  # what was not looked at, and why
    # By backend: the version, and what else decides how it computes, such as the device.
    backends: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    weights: Mapping[str, WeightSearch] = field(default_factory=dict, repr=False)  # by file; empty: no original
    audits: tuple[Audit, ...] = field(default=(), repr=False)  # of the ONNX ports
    clips: tuple[AnyClip, ...] = field(default=(), repr=False)
    evidence: Mapping[tuple[str, str], Evidence] = field(default_factory=dict, repr=False)  # by backend and clip
    costs: tuple[TaskCost, ...] = ()  # what smaller graphs change of tasks
    corpus: Corpus | None = field(default=None, repr=False)  # then ``comparisons`` has the worst of its windows alone

    @property
    def passed(self) -> bool:
        """Whether all that was compared passed and no problem was found; nothing compared is a failure."""
        return bool(self.comparisons) and not self.problems and all(c.status != "fail" for c in self.comparisons)

    @property
    def statuses(self) -> Mapping[str, int]:
        """How many comparisons have each status; of a corpus those of all windows too."""
        if self.corpus is None:
            return Counter[str](c.status for c in self.comparisons)
        every = Counter[str](c.status for c in self.comparisons if not self.corpus.holds(c))
        for total in self.corpus.totals:
            every.update(total.statuses)
        return every

    @property
    def whole(self) -> tuple[Comparison, ...]:
        """Give the comparisons over all windows of a corpus, one for each output of each port, which come last."""
        count = 0 if self.corpus is None else len(self.corpus.totals)
        return self.comparisons[len(self.comparisons) - count :]


@dataclass(frozen=True)
class Report:
    """The result of one run of aves-verify."""

    configs: tuple[ConfigReport, ...]
    environment: Mapping[str, str | int | None]
    total_seconds: float

    @property
    def passed(self) -> bool:
        """Whether every configuration passed, and there was at least one."""
        return bool(self.configs) and all(config.passed for config in self.configs)

    @property
    def tolerances(self) -> dict[str, Tolerance]:
        """How much each backend was allowed to differ; the widest where it was held to several."""
        used: dict[str, Tolerance] = {}
        for comparison in (c for config in self.configs for c in config.comparisons):
            held = used.setdefault(comparison.backend, comparison.tolerance)
            if comparison.tolerance.atol > held.atol:
                used[comparison.backend] = comparison.tolerance
        return used
