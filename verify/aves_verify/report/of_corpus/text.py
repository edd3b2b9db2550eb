"""A corpus in words and rows, as terminal, Markdown and page tell it; texts from outside are as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aves_artifacts.base.messages import cut_off
from aves_artifacts.bundle.report_document import STATUSES
from aves_verify.report.corpus import Corpus, Failure, OutputTotals
from aves_verify.report.numbers import number, ratio

HEADINGS = ("port", "output", "windows", "status", "RMS |diff|", "error ratio")
TEXTS = ("port", "output", "status")  # of these; the others are numbers
_MOST_TOLD = 6  # reasons; the rest is counted


@dataclass(frozen=True)
class TotalRow:
    """One output of one port over all windows; texts are ready to be shown."""

    worst: str  # status
    cells: tuple[str, ...]  # those of ``HEADINGS``


def total_rows(corpus: Corpus) -> Iterator[TotalRow]:
    """Give a row for each output of each port."""
    for total in corpus.totals:
        found = [status for status in STATUSES if total.statuses.get(status)]
        yield TotalRow(
            found[-1] if found else "fail",
            (
                total.backend,
                total.layer,
                f"{total.windows:,}",
                ", ".join(f"{total.statuses[status]:,} {status}" for status in found) or "nothing was compared",
                number(total.rms),
                _measured(total),
            ),
        )


def facts_of(corpus: Corpus) -> Iterator[tuple[str, str]]:
    """List what was looked at, each fact with its name."""
    yield "recordings", f"{corpus.recordings:,}{_aside(corpus.unreadable, 'cannot be read')}"
    ends = _aside(corpus.skipped, f"end{'s' if corpus.skipped > 1 else ''} of recordings too short for a frame")
    compared = (
        f"{corpus.windows:,}" if corpus.windows == corpus.planned else f"{corpus.windows:,} of {corpus.planned:,}"
    )
    yield "windows", f"{compared}, each of {corpus.window:g} s, one every {corpus.hop:g} s{ends}"
    yield "sound", duration(corpus.seconds)
    yield "parts", f"{corpus.parts - len(corpus.missing):,} found of {corpus.parts:,} needed"
    if len(corpus.environments) > 1:
        yield "machines", f"{len(corpus.environments):,} kinds, which differ in {', '.join(_differing(corpus))}"


def failure_lines(corpus: Corpus) -> Iterator[str]:
    """Tell the commonest reasons for which windows or recordings failed, each with one place."""
    told, left = cut_off(sorted(corpus.failures, key=lambda failure: -failure.count), _MOST_TOLD)
    yield from map(_failure, told)
    if left:
        yield f"and {left:,} more reasons"


def _failure(failure: Failure) -> str:
    count, plural = f"{failure.count:,}", "s" if failure.count > 1 else ""
    happened = f"{failure.backend}, {count} window{plural}" if failure.backend else f"{count} recording{plural}"
    example = "such as" if failure.count > 1 else "it is"
    # what is said of a recording names it already, by its whole path
    where = "" if f"{failure.where}:" in failure.example else f"{failure.where}: "
    return f"{happened}, {example} {where}{failure.example}"


def duration(seconds: float) -> str:
    """Write how long sound is, in the unit that people say."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} s"


def _measured(total: OutputTotals) -> str:
    """The error ratio, and of how many windows where it is not all."""
    if total.error_ratio is None or total.measured == total.windows:
        return ratio(total.error_ratio)
    return f"{ratio(total.error_ratio)} (of {total.measured:,})"


def _aside(count: int, what: str) -> str:
    return f" ({count:,} {what})" if count else ""


def _differing(corpus: Corpus) -> list[str]:
    """The facts of machines that are not alike on all."""
    every: list[Mapping[str, str]] = list(corpus.environments)
    names = dict.fromkeys(name for environment in every for name in environment)
    return [name for name in names if len({environment.get(name) for environment in every}) > 1]
