"""A corpus as the JSON report has it: everything but arrays."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from aves_verify.comparison.compare import Comparison
from aves_verify.report.corpus import Corpus, OutputTotals, WorstWindow
from aves_verify.report.report import ConfigReport

_OTHERWISE = ("totals", "worst", "listed")  # what does not stand there as it is


def corpus_entries(corpus: Corpus) -> dict[str, Any]:
    """The entries of a configuration's corpus; ``clip`` names the comparison that is of a window."""
    plain = {field.name: getattr(corpus, field.name) for field in fields(corpus) if field.name not in _OTHERWISE}
    return {
        **plain,
        "failures": [asdict(failure) for failure in corpus.failures],
        "environments": [dict(environment) for environment in corpus.environments],
        "totals": [_total(total) for total in corpus.totals],
        "worst": [_window(window) for window in corpus.worst],
    }


def of_windows(config: ConfigReport, comparison: Comparison) -> dict[str, Any]:
    """The entry of a comparison that is of one window of a corpus, or of all of them."""
    if config.corpus is None or not config.corpus.holds(comparison):
        return {}
    return {"of": "windows" if comparison in config.whole else "window"}


def _total(total: OutputTotals) -> dict[str, Any]:
    return {
        **{field.name: getattr(total, field.name) for field in fields(total)},
        "statuses": dict(total.statuses),
        "differences": asdict(total.differences),
        "ratios": asdict(total.ratios),
        "grids": [asdict(grid) for grid in total.grids],
    }


def _window(window: WorstWindow) -> dict[str, Any]:
    compared = window.comparison
    return {
        "clip": compared.clip,
        "recording": window.recording,
        "start": window.start,
        "seconds": window.seconds,
        "level": window.level,
        "offset": window.offset,
        "backend": compared.backend,
        "layer": compared.layer,
        "status": compared.status,
        "max_abs": compared.max_abs,
        "error_ratio": compared.error_ratio,
    }
