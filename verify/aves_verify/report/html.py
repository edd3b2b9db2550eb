"""The report as one HTML file that opens offline: verdict, tables to sort and filter, pictures."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Any

from aves_artifacts.base.messages import escaped
from aves_verify.comparison.compare import STATUSES
from aves_verify.report.numbers import cosine, held_to, number, ratio
from aves_verify.report.pictures import pictures
from aves_verify.report.report import ConfigReport, Report
from aves_verify.report.summary import (
    DRIFT,
    NOTHING,
    facts,
    largest_difference,
    note,
    outcome,
    ports,
    significance,
    title,
)


def to_html(report: Report) -> str:
    """The report as a page without any outside resource.

    Its policy lets the browser run the one script whose hash it names and load nothing, so that even a mistake in
    escaping could not run what a name holds.
    """
    script, css = _template_file("report.js"), _template_file("report.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page: str = _template().render(
        report=report,
        verdict=(outcome(report), largest_difference(report), significance(report), note(report)),
        configs=[_config(config, f"c{i}") for i, config in enumerate(report.configs)],
        drifting=[port for config in report.configs for port in ports(config) if port.drifting],
        begins=[(config, e) for config in report.configs for e in config.explanations if e.first is not None],
        facts=list(facts(report)),
        words={"drift": DRIFT, "nothing": NOTHING},
        statuses=STATUSES,
        script=script,
        script_hash=f"sha256-{digest}",
        css=css,
    )
    return page


def _config(config: ConfigReport, identity: str) -> dict[str, Any]:
    """A configuration as the template wants it."""
    changes = dict.fromkeys((s.change, s.kind) for s in config.sensitivities)
    return {
        "identity": identity,
        "title": title(config),
        "report": config,
        "ports": ports(config),
        "pictures": pictures(config, identity),
        "sensitive": list(dict.fromkeys(s.backend for s in config.sensitivities)),
        "changes": [
            (change, kind, {s.backend: s.relative for s in config.sensitivities if s.change == change})
            for change, kind in changes
        ],
    }


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("aves_verify.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: escaped(value) if type(value) is str else value,
    )
    environment.filters |= {"number": number, "ratio": ratio, "cosine": cosine, "held_to": held_to}
    return environment.get_template("report.html")


def _template_file(name: str) -> str:
    return (resources.files("aves_verify.report") / "templates" / name).read_text(encoding="utf-8")
