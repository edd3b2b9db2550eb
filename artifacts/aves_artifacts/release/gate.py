"""Deciding whether a bundle may be published: by a report on these very files, in which only what is waived failed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aves_artifacts.base.errors import DoesNotHoldError, InputError
from aves_artifacts.base.messages import printable
from aves_artifacts.bundle.bundle import Bundle, read_bundle
from aves_artifacts.bundle.check import VERDICT_FAILED, check_bundle
from aves_artifacts.bundle.manifest import REPORT
from aves_artifacts.bundle.report_document import ReportDocument, parse_bundle_report
from aves_artifacts.configurations.catalog import by_file_name
from aves_artifacts.configurations.waivers import Waiver
from aves_artifacts.files.documents import read_file

_LONGEST = 1000  # characters of what a report says


@dataclass(frozen=True)
class Waived:
    """A comparison that failed, and why it does not keep the bundle from being published."""

    backend: str
    clip: str
    layer: str
    failure: str
    reason: str


@dataclass(frozen=True)
class Verified:
    """A bundle that may be published, with its report."""

    bundle: Bundle
    report: ReportDocument = field(repr=False)
    waived: tuple[Waived, ...] = ()

    @property
    def name(self) -> str:
        """The name that its files begin with."""
        return self.bundle.manifest.name

    @property
    def is_stand_in(self) -> bool:
        """Whether its weights are made up, and were never trained."""
        return self.bundle.manifest.source.stand_in


def verified(folder: Path) -> Verified:
    """Check all of a bundle anew, from its bytes, and its report against the catalogue's waivers.

    Raises DoesNotHoldError with every reason why it may not be published, InputError where there is no bundle.
    """
    problems = [f"{folder / p.file} {p.problem}" for p in check_bundle(folder).problems if p.problem != VERDICT_FAILED]
    if problems:
        raise DoesNotHoldError(*problems)
    bundle = read_bundle(folder)
    if bundle.manifest.report is None:
        raise DoesNotHoldError(
            f"{folder} has no report, and nothing is published that was not verified; verify it with aves-verify "
            "against its checkpoint, and attach the report"
        )
    report = parse_bundle_report(read_file(folder / REPORT), str(folder / REPORT))
    configuration = by_file_name(bundle.manifest.name)
    waivers = configuration.waivers if configuration else ()
    waived, failed = settle_failures(report, waivers, bundle.manifest.ports)
    if failed:
        raise DoesNotHoldError(*(f"{folder / REPORT}: {failure}" for failure in failed))
    return Verified(bundle, report, waived)


def all_verified(folders: Sequence[Path], *, stand_ins: bool) -> list[Verified]:
    """Check every folder with ``verified``.

    Raises DoesNotHoldError that tells of all, and InputError for stand-ins where they are not wanted.
    """
    examined = [_examined(folder) for folder in folders]
    problems = [problem for found in examined if isinstance(found, DoesNotHoldError) for problem in found.problems]
    if problems:
        raise DoesNotHoldError(*problems)
    bundles = [found for found in examined if isinstance(found, Verified)]
    unwanted = [bundle.name for bundle in bundles if bundle.is_stand_in and not stand_ins]
    if unwanted:
        raise InputError(
            *(f"{name}: a stand-in, whose weights were never trained" for name in unwanted),
            hint="give {stand_in} to publish it marked as such",
        )
    return bundles


def _examined(folder: Path) -> Verified | DoesNotHoldError:
    try:
        return verified(folder)
    except DoesNotHoldError as error:
        return error


def settle_failures(
    report: ReportDocument, waivers: Sequence[Waiver], ports: Collection[str]
) -> tuple[tuple[Waived, ...], list[str]]:
    """Sort a report's failures into those that are waived and every other reason why it does not pass.

    ``ports``: what must have been compared.
    """
    config, waived = report.config, []
    # never waived
    failed = [f"a problem beside the numbers: {printable(problem, _LONGEST)}" for problem in config.problems]
    for comparison in config.comparisons:
        if comparison.passed:
            continue
        key, failure = comparison.key, comparison.reason or "it failed"
        waiver = next((w for w in waivers if w.covers(*key)), None)
        if waiver is None:
            failed.append(f"{printable(', '.join(key), _LONGEST)}: {printable(failure, _LONGEST)}")
        else:
            waived.append(Waived(*key, failure, waiver.reason))
    if not report.passed and not waived and not failed:
        failed.append("it says that the verification failed, and not why")
    compared = {comparison.backend for comparison in config.comparisons}
    failed += [f"{port} was not compared" for port in sorted(ports, reverse=True) if port not in compared]
    return tuple(waived), failed
