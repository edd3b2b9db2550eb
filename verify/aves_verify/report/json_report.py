"""The report for machines: the JSON that other programs rely on (schema 1)."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aves_artifacts.base.messages import as_text
from aves_verify.comparison.compare import Comparison, Tolerance
from aves_verify.comparison.weights import WeightSearch
from aves_verify.report.of_corpus.entries import corpus_entries, of_windows
from aves_verify.report.report import SCHEMA, ConfigReport, Report

if TYPE_CHECKING:
    from aves_verify.audit.audit import Audit, AuditedClip
    from aves_verify.audit.stages import StageError
    from aves_verify.explanation.explain import Explanation, PointError


def to_json(report: Report) -> str:
    """Write the report as JSON. Numbers that JSON does not have (NaN, infinity) become null.

    What is no text in the path of a recording is spelled out: many readers of JSON, ours too, refuse half a letter.
    """
    document = {
        "schema": SCHEMA,
        "passed": report.passed,
        "environment": dict(report.environment),
        "tolerance": _tolerance(report),
        "configs": [_config(config) for config in report.configs],
        "seconds": {"total": round(report.total_seconds, 3)},
    }
    return json.dumps(_finite(document), indent=2, allow_nan=False) + "\n"


def _tolerance(report: Report) -> dict[str, Any]:
    """The widest that anything was held to, and each backend's own."""
    used = report.tolerances
    widest = max(used.values(), key=lambda tolerance: tolerance.atol, default=Tolerance())
    return asdict(widest) | {"by_backend": {name: asdict(tolerance) for name, tolerance in used.items()}}


def _config(config: ConfigReport) -> dict[str, Any]:
    return {
        "name": config.name,
        "source": config.source,
        "reference": config.reference,
        "sha256": dict(config.sha256),
        "passed": config.passed,
        "problems": list(config.problems),
        "ran": None if config.ran is None else asdict(config.ran),
        "notes": list(config.notes),
        "backends": {name: dict(known) for name, known in config.backends.items()},
        "weights": {name: _search(search) for name, search in config.weights.items()},
        "audit": [_audit(audit) for audit in config.audits],
        "comparisons": [_comparison(each) | of_windows(config, each) for each in config.comparisons],
        **({"costs": [asdict(cost) for cost in config.costs]} if config.costs else {}),
        **({} if config.corpus is None else {"corpus": corpus_entries(config.corpus)}),
        "explanations": [_explanation(explanation) for explanation in config.explanations],
        "sensitivities": [asdict(sensitivity) for sensitivity in config.sensitivities],
        "seconds": {name: round(value, 3) for name, value in config.seconds.items()},
    }


def _search(search: WeightSearch) -> dict[str, Any]:
    found = {"expected": search.expected, "found": search.found, "missing": list(search.missing)}
    return {**found, "rounded": dict(search.rounded)} if search.rounded else found


def _audit(audit: Audit) -> dict[str, Any]:
    return {
        "backend": audit.backend,
        "text": audit.text,
        "problems": list(audit.problems),
        "clips": [_audited(clip) for clip in audit.clips],
    }


def _audited(clip: AuditedClip) -> dict[str, Any]:
    nodes = clip.nodes
    return {
        "clip": clip.clip,
        "seconds": clip.seconds,
        "stages": [_inner(stage) for stage in clip.stages],
        "nodes": None
        if nodes is None
        else {"looked_at": len(nodes.looked_at), "not_looked_at": dict(nodes.not_looked_at)},
    }


def _inner(stage: StageError) -> dict[str, Any]:
    error = dict.fromkeys(("relative", "ratio", "peak")) if stage.error is None else asdict(stage.error)
    return {"stage": stage.stage, "operator": stage.operator, "value": stage.value, **error}


def _comparison(comparison: Comparison) -> dict[str, Any]:
    """Its entries; what only smaller graphs have stands there only where they do."""
    entries = asdict(comparison)
    if comparison.bound is None:
        del entries["bound"], entries["cost"]
    return entries


def _explanation(explanation: Explanation) -> dict[str, Any]:
    first = explanation.first
    return {
        "backend": explanation.backend,
        "clip": explanation.clip,
        "seconds": explanation.seconds,
        "text": explanation.text,
        "first": None if first is None else _stage(first),
        "stages": [_stage(stage) for stage in explanation.stages],
    }


def _stage(stage: PointError) -> dict[str, Any]:
    return asdict(stage) | {"ratio": stage.ratio, "found": stage.found}


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, str):
        return as_text(value)
    return value
