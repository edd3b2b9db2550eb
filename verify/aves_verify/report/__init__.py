"""One Report, and its renderings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aves_verify.compare import Comparison, Tolerance

SCHEMA = 1


@dataclass(frozen=True)
class ConfigReport:
    """What was found about one configuration."""

    name: str
    source: str  # "stand-in", "published" or "file"
    reference: str  # the backend that the others are compared with
    sha256: Mapping[str, str]  # of the files compared, by backend
    comparisons: tuple[Comparison, ...] = field(repr=False)
    seconds: Mapping[str, float]  # load, and one entry per backend
    problems: tuple[
        str, ...
    ] = ()  # what is wrong beside the numbers: files that are not the manifest's, unreadable clips

    @property
    def passed(self) -> bool:
        """Nothing compared is a failure."""
        return bool(self.comparisons) and not self.problems and all(c.status != "fail" for c in self.comparisons)


@dataclass(frozen=True)
class Report:
    """The result of one run of aves-verify."""

    configs: tuple[ConfigReport, ...]
    tolerances: Mapping[str, Tolerance]  # by backend
    environment: Mapping[str, str | int | None]
    total_seconds: float

    @property
    def passed(self) -> bool:
        """Every configuration passed, and there was at least one."""
        return bool(self.configs) and all(config.passed for config in self.configs)
