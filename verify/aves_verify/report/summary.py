"""What every rendering tells first: did it pass, where is the largest difference, does it matter?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aves_artifacts.base.messages import escaped
from aves_artifacts.bundle.report_document import STATUSES, Status
from aves_verify.comparison.compare import Comparison
from aves_verify.report.numbers import allowed
from aves_verify.report.report import ConfigReport, Report

STAND_INS = "The weights are seeded stand-ins, not the published ones."
NOTHING = "nothing was compared"

Quote = Callable[[str], str]  # how a rendering shows what comes from outside: names, and messages that hold some


@dataclass(frozen=True)
class Port:
    """All comparisons of one port of one configuration."""

    config: ConfigReport
    backend: str
    comparisons: tuple[Comparison, ...]  # at least one

    @property
    def status(self) -> Status:
        """The status of the worst comparison."""
        return max((c.status for c in self.comparisons), key=STATUSES.index)

    @property
    def measured(self) -> tuple[Comparison, ...]:
        """The comparisons of numbers; units have flips instead. All of them where there are no others."""
        return tuple(c for c in self.comparisons if c.flips is None) or self.comparisons

    @property
    def counted(self) -> tuple[Comparison, ...]:
        """What is counted: of a corpus not its windows one by one, for the comparisons of all of them have those."""
        corpus, whole = self.config.corpus, self.config.whole
        if corpus is None:
            return self.comparisons
        return tuple(c for c in self.comparisons if c in whole or not corpus.holds(c))

    @property
    def largest(self) -> Comparison:
        """The comparison with the largest difference."""
        return max(self.measured, key=_size)

    @property
    def max_abs(self) -> float:
        """The largest absolute difference, whatever the size of the layer's values."""
        return max(c.max_abs for c in self.measured)

    @property
    def mean_abs(self) -> float:
        """The largest mean of the absolute differences of one output."""
        return max(c.mean_abs for c in self.measured)

    @property
    def max_rel(self) -> float:
        """The largest relative difference."""
        return max(c.max_rel for c in self.measured)

    @property
    def cosine_min(self) -> float:
        """The smallest cosine, which is that of the most different frame."""
        return min(c.cosine_min for c in self.measured)

    @property
    def error_ratio(self) -> float | None:
        """The largest error ratio; None where there is no exact answer."""
        return max((c.error_ratio for c in self.comparisons if c.error_ratio is not None), default=None)

    @property
    def drifting(self) -> tuple[Comparison, ...]:
        """The comparisons with near-zero drift, those with the most elements first."""
        found = [(c.near_zero.flagged, c) for c in self.comparisons if c.status == "near-zero drift" and c.near_zero]
        return tuple(c for _, c in sorted(found, key=lambda item: -item[0]))

    @property
    def flagged(self) -> int:
        """How many elements drift near zero."""
        return sum(c.near_zero.flagged for c in self.counted if c.near_zero is not None)


def ports(config: ConfigReport) -> list[Port]:
    """List a configuration's ports, in the order in which they were compared."""
    backends = dict.fromkeys(c.backend for c in config.comparisons)
    return [Port(config, name, tuple(c for c in config.comparisons if c.backend == name)) for name in backends]


def notes(config: ConfigReport) -> Iterator[str]:
    """Tell what was looked at beside the numbers and what was not; no note is a failure, those are problems."""
    for file, search in config.weights.items():
        yield f"{file}: {search.text}"
    if config.comparisons and not config.weights:
        yield "weights were not compared: there is no original to hold them against"
    if config.ran is not None:
        yield config.ran.text
    for backend, known in config.backends.items():
        if told := ", ".join(f"{what} {value}" for what, value in known.items() if what != "version"):
            yield f"{backend}: version {known['version']}, {told}"
    yield from filter(None, (audit.text for audit in config.audits))
    yield from _flips(config)
    yield from _looked_closer(config)
    yield from config.notes


def _flips(config: ConfigReport) -> Iterator[str]:
    """How many frames have another unit in a port than in the original."""
    for port in ports(config):
        for layer in dict.fromkeys(c.layer for c in port.counted if c.flips is not None):
            found = [c.flips for c in port.counted if c.layer == layer and c.flips is not None]
            flipped, frames = sum(each.flipped for each in found), sum(each.frames for each in found)
            unexplained = sum(each.unexplained for each in found)
            told = f", {unexplained} of them by more than rounding explains" if flipped else ""
            yield f"{port.backend}: {layer} differs in {flipped} of {frames} frames{told}"


def _looked_closer(config: ConfigReport) -> Iterator[str]:
    """Which ports pass only because float32 itself leaves more of an input than the original's own error tells."""
    for port in ports(config):
        looked = [c for c in port.comparisons if c.noise is not None and c.noise.float32 is not None]
        passed = [c for c in looked if c.status != "fail"]
        if passed:
            worst = max(passed, key=lambda c: c.error_ratio or 0.0)
            yield (
                f"{port.backend}: {len(passed)} of {len(port.comparisons)} comparisons are held against what float32 "
                f"leaves of those very inputs, the largest error ratio {worst.error_ratio:.2g} on {worst.clip}"
            )


def title(config: ConfigReport) -> str:
    """A configuration's name, marked where its weights are made up."""
    return f"{config.name} (stand-in)" if config.source == "stand-in" else config.name


def outcome(report: Report, quote: Quote = escaped) -> str:
    """Say in one sentence whether it passed."""
    statuses = Counter[str]()
    for config in report.configs:
        statuses.update(config.statuses)
    compared, failed = statuses.total(), statuses["fail"]
    if report.passed:
        drifting, reduced = statuses["near-zero drift"], statuses["pass (reduced)"]
        drift = f" In {drifting:,} of them some elements drift near zero, which passes." if drifting else ""
        exact = compared - reduced
        told = f"In all {exact:,} comparisons the ports compute what the original computes.{drift}" if exact else ""
        smaller = f"In {reduced:,} comparisons smaller graphs cost no more than they may; they compute something else."
        return " ".join(filter(None, (told, smaller if reduced else "")))
    names = ", ".join(quote(title(config)) for config in report.configs if not config.passed)
    problems = sum(len(config.problems) for config in report.configs)
    counted = [f"{failed:,} of {compared:,} comparisons fail"] if failed else []
    counted += [f"{problems} problem{'s' if problems > 1 else ''} beside the numbers"] if problems else []
    return f"{names}: {' and '.join(counted) or NOTHING}." if names else "Nothing was compared."


def largest(report: Report) -> tuple[ConfigReport, Comparison] | None:
    """Find the comparison with the largest difference, relative to the size of its values."""
    found = [(config, c) for config in report.configs for c in config.comparisons]
    # what a smaller graph may cost is beyond all rounding, and would hide that
    found = [item for item in found if item[1].status != "pass (reduced)"] or found
    return max(found, key=lambda item: _size(item[1]), default=None)


def _size(comparison: Comparison) -> float:
    return comparison.max_abs / max(1.0, comparison.noise.scale if comparison.noise else 1.0)


def largest_difference(report: Report, quote: Quote = escaped) -> str:
    """Say in one sentence where the largest difference is; empty when nothing was compared."""
    found = largest(report)
    if found is None:
        return ""
    config, worst = found
    where = f"{quote(title(config))}, {worst.backend}, input {quote(worst.clip)}, {worst.layer}"
    place = worst.max_abs_at
    if place is None:
        return f"The largest difference cannot be measured: {where}."
    return (
        f"The largest difference from {worst.reference} is {worst.max_abs:.1e}: {where}, frame {place.frame}, "
        f"dimension {place.dimension}, where the port has {place.port:.7g} and {worst.reference} {place.reference:.7g}."
    )


def significance(report: Report, quote: Quote = escaped) -> str:
    """Say in a sentence or two whether the largest difference matters; empty when nothing was compared."""
    found = largest(report)
    if found is None:
        return ""
    _, worst = found
    if worst.status == "fail":
        return f"It matters: {quote(worst.reason)}."
    if worst.bound is not None:
        return f"A smaller graph may cost that much: {worst.bound.min_snr:g} dB of signal over noise are asked for."
    reference = worst.max_abs_at.reference if worst.max_abs_at else 0.0
    verdict = f"It does not matter: up to {allowed(worst, abs(reference)):.1e} is allowed there{_accuracy(worst)}."
    if worst.status == "near-zero drift":
        verdict += " Some elements drift near zero: a relative test alone would fail them, the absolute one does not."
    return verdict if report.passed else f"{verdict} What failed is something else, told below."


def _accuracy(worst: Comparison) -> str:
    """How the port's error compares with the original's own, in words that end the sentence."""
    found = worst.error_ratio
    if found is None:
        return ""
    size = f", and the port's error against float64 is {found:.2g} times {worst.reference}'s own"
    if found <= 1:
        return f"{size}: the port is at least as accurate as the original"
    if found <= 2:  # two correct float32 encoders differ by about this
        return f"{size}: rounding of the size that the original has itself"
    return (
        f"{size}: more rounding than the original has, and less than the {worst.tolerance.error_ratio:g} times allowed"
    )


def facts(report: Report) -> Iterator[tuple[str, str]]:
    """List what the numbers were measured with."""
    yield from ((name, "not installed" if value is None else str(value)) for name, value in report.environment.items())
    if report.total_seconds:  # of a corpus nobody knows them
        yield "seconds", f"{report.total_seconds:.0f}"


DRIFT = (
    "An output near zero can differ by more than a relative test allows while its absolute difference is as small as "
    "everywhere else. Counted are those that differ by more than the original's own rounding explains; they pass, for "
    "the absolute difference is within the tolerance."
)


def note(report: Report) -> str:
    """Say what to know about the weights; empty when they are real."""
    return STAND_INS if any(config.source == "stand-in" for config in report.configs) else ""
