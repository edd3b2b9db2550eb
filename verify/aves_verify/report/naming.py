"""Naming recordings in a report for people; what programs read has their whole paths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from aves_artifacts.bundle.report_document import ReportDocument
from aves_verify.report.report import ConfigReport, Report
from aves_verify.sounds.naming import short_names


def for_people(report: Report) -> Report:
    """Name each recording of a report by the shortest end of its path that tells it from the others."""
    compared = {comparison.clip for config in report.configs for comparison in config.comparisons}
    given = {clip.name for config in report.configs for clip in config.clips}
    short = short_names(compared | given)
    return replace(report, configs=tuple(_config(config, short) for config in report.configs))


def _config(config: ConfigReport, short: Callable[[str], str]) -> ConfigReport:
    return replace(
        config,
        comparisons=tuple(replace(comparison, clip=short(comparison.clip)) for comparison in config.comparisons),
        explanations=tuple(replace(explanation, clip=short(explanation.clip)) for explanation in config.explanations),
        clips=tuple(replace(clip, name=short(clip.name)) for clip in config.clips),
        evidence={(backend, short(clip)): seen for (backend, clip), seen in config.evidence.items()},
    )


def pair_for_people(before: ReportDocument, after: ReportDocument) -> tuple[ReportDocument, ReportDocument]:
    """Name the recordings of two reports that were read as ``for_people`` does, and alike in both."""
    short = short_names({comparison.clip for comparison in (*before.comparisons, *after.comparisons)})
    return _document(before, short), _document(after, short)


def _document(document: ReportDocument, short: Callable[[str], str]) -> ReportDocument:
    configs = (
        replace(config, comparisons=tuple(replace(c, clip=short(c.clip)) for c in config.comparisons))
        for config in document.configs
    )
    return replace(document, configs=tuple(configs))
