"""The report as one HTML file that opens offline: verdict, tables to sort and filter, pictures."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from importlib import resources
from typing import Any

from aves_artifacts.base.templates import fill_html
from aves_artifacts.bundle.report_document import STATUSES
from aves_verify.report.costs import COSTS, HEADINGS, cost_rows
from aves_verify.report.naming import for_people
from aves_verify.report.numbers import cosine, held_to, number, ratio
from aves_verify.report.of_corpus.page import corpus_page
from aves_verify.report.pictures import pictures
from aves_verify.report.report import ConfigReport, Report
from aves_verify.report.summary import (
    DRIFT,
    NOTHING,
    facts,
    largest_difference,
    note,
    notes,
    outcome,
    ports,
    significance,
    title,
)

_FILTERS: dict[str, Callable[..., str]] = {"number": number, "ratio": ratio, "cosine": cosine, "held_to": held_to}


def to_html(report: Report) -> str:
    """Write the report as one page that loads nothing from elsewhere.

    Its policy lets the browser run the one script whose hash it names and load nothing, so that even a mistake in
    escaping could not run what a name holds. Pictures and sounds are in the page itself.
    """
    report = for_people(report)
    script, css = _template_file("report.js"), _template_file("report.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    configs = [_config(config, f"c{i}") for i, config in enumerate(report.configs)]
    return fill_html(
        "aves_verify.report",
        "templates/report.html",
        _FILTERS,
        report=report,
        verdict=(outcome(report), largest_difference(report), significance(report), note(report)),
        configs=configs,
        plays=any(figure.sound for config in configs if config["corpus"] for figure in config["corpus"]["figures"]),
        drifting=[port for config in report.configs for port in ports(config) if port.drifting],
        begins=[(config, e) for config in report.configs for e in config.explanations if e.first or e.failure],
        facts=list(facts(report)),
        words={"drift": DRIFT, "nothing": NOTHING, "costs": COSTS},
        cost_headings=HEADINGS,
        statuses=STATUSES,
        script=script,
        script_hash=f"sha256-{digest}",
        css=css,
    )


def _config(config: ConfigReport, identity: str) -> dict[str, Any]:
    """A configuration as the template wants it."""
    changes = dict.fromkeys((s.change, s.kind) for s in config.sensitivities)
    return {
        "identity": identity,
        "title": title(config),
        "report": config,
        "ports": ports(config),
        "notes": list(notes(config)),
        "costs": list(cost_rows(config)),
        "pictures": pictures(config, identity),
        "corpus": config.corpus and corpus_page(config, config.corpus, f"{identity}-corpus"),
        "sensitive": list(dict.fromkeys(s.backend for s in config.sensitivities)),
        "changes": [
            (change, kind, {s.backend: s.relative for s in config.sensitivities if s.change == change})
            for change, kind in changes
        ],
    }


def _template_file(name: str) -> str:
    return (resources.files("aves_verify.report") / "templates" / name).read_text(encoding="utf-8")
