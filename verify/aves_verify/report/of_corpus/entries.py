"""A corpus as the JSON report has it: everything but arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from aves_verify.report.corpus import Corpus, OutputTotals, WorstWindow
from aves_verify.report.report import ConfigReport

_OTHERWISE = ("totals", "worst", "listed")  # what does not stand there as it is


def corpus_entries(config: ConfigReport, corpus: Corpus) -> dict[str, Any]:
    """The entries of a configuration's corpus; ``clip`` names the comparison that is of a window, or of all."""
    plain = {field.name: getattr(corpus, field.name) for field in fields(corpus) if field.name not in _OTHERWISE}
    return {
        **plain,
        "failures": [asdict(failure) for failure in corpus.failures],
        "environments": [dict(environment) for environment in corpus.environments],
        "totals": [_total(total, _clips_of_all(config, corpus)) for total in corpus.totals],
        "worst": [_window(window) for window in corpus.worst],
    }


def _clips_of_all(config: ConfigReport, corpus: Corpus) -> Mapping[tuple[str, str], str]:
    """What the comparisons of all windows are called, by port and output."""
    windows = {window.comparison.clip for window in corpus.worst}
    every = (c for c in config.comparisons if corpus.holds(c) and c.clip not in windows)
    return {(c.backend, c.layer): c.clip for c in every}


def _total(total: OutputTotals, clips: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    return {
        **{field.name: getattr(total, field.name) for field in fields(total)},
        "clip": clips.get((total.backend, total.layer)),
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
