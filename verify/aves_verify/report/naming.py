"""Naming recordings in a report for people; what programs read has their whole paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from aves_artifacts.bundle.report_document import ReportDocument
from aves_verify.report.corpus import Corpus
from aves_verify.report.report import ConfigReport, Report
from aves_verify.sounds.naming import short_names


def for_people(report: Report) -> Report:
    """Name each recording of a report by the shortest end of its path that tells it from the others."""
    compared = {comparison.clip for config in report.configs for comparison in config.comparisons}
    given = {clip.name for config in report.configs for clip in config.clips}
    heard = {name for config in report.configs if config.corpus for name in _recordings(config.corpus)}
    short = short_names(compared | given | heard)
    return replace(report, configs=tuple(_config(config, short) for config in report.configs))


def _config(config: ConfigReport, short: Callable[[str], str]) -> ConfigReport:
    return replace(
        config,
        comparisons=tuple(replace(comparison, clip=short(comparison.clip)) for comparison in config.comparisons),
        explanations=tuple(replace(explanation, clip=short(explanation.clip)) for explanation in config.explanations),
        clips=tuple(replace(clip, name=short(clip.name)) for clip in config.clips),
        evidence={(backend, short(clip)): seen for (backend, clip), seen in config.evidence.items()},
        corpus=None if config.corpus is None else _corpus(config.corpus, short),
    )


def _recordings(corpus: Corpus) -> Iterator[str]:
    """What is named by windows and recordings beside the comparisons."""
    yield from (window.recording for window in corpus.worst)
    yield from (failure.where for failure in corpus.failures)


def _corpus(corpus: Corpus, short: Callable[[str], str]) -> Corpus:
    return replace(
        corpus,
        failures=tuple(replace(failure, where=short(failure.where)) for failure in corpus.failures),
        worst=tuple(
            replace(
                window,
                comparison=replace(window.comparison, clip=short(window.comparison.clip)),
                recording=short(window.recording),
            )
            for window in corpus.worst
        ),
        listed=frozenset((short(clip), layer) for clip, layer in corpus.listed),
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
