"""The report for continuous integration: JUnit XML, a suite per configuration and a case per comparison."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from aves_artifacts.base.messages import escaped
from aves_verify.comparison.compare import Comparison
from aves_verify.report.numbers import number, ratio
from aves_verify.report.report import ConfigReport, Report
from aves_verify.report.summary import NOTHING, facts


@dataclass(frozen=True)
class _Case:
    """One test, as JUnit has it."""

    classname: str
    name: str
    failure: str = ""  # the reason; empty when it passed
    output: str = ""


def to_junit(report: Report) -> str:
    """Write the report as JUnit XML.

    Problems beside the numbers are cases too, and fail. Near-zero drift passes, its reason in ``system-out``. Times are
    of suites: several comparisons come from one forward pass, so a case has none of its own.
    """
    suites = [(config, list(_cases(config))) for config in report.configs]
    every = [case for _, cases in suites for case in cases]
    root = ElementTree.Element("testsuites", {"name": "aves-verify", **_counts(every, report.total_seconds)})
    for config, cases in suites:
        counts = _counts(cases, sum(config.seconds.values()))
        suite = ElementTree.SubElement(root, "testsuite", {"name": escaped(config.name), **counts})
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in _properties(report, config):
            ElementTree.SubElement(properties, "property", name=name, value=escaped(value))
        for case in cases:
            _append(suite, case)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _cases(config: ConfigReport) -> Iterator[_Case]:
    for i, problem in enumerate(config.problems, start=1):
        yield _Case("problems", f"problem {i}", failure=problem)
    if not config.comparisons:
        yield _Case("problems", "comparisons", failure=NOTHING)
    for comparison in config.comparisons:
        failed = comparison.status == "fail"
        yield _Case(
            comparison.backend,
            f"{comparison.clip}, {comparison.layer}",
            failure=(comparison.reason or comparison.status) if failed else "",
            output=f"{comparison.status}: {comparison.reason or _numbers(comparison)}",
        )


def _numbers(comparison: Comparison) -> str:
    return (
        f"max |diff| {number(comparison.max_abs)}, max rel {number(comparison.max_rel)}, "
        f"error ratio {ratio(comparison.error_ratio)}"
    )


def _properties(report: Report, config: ConfigReport) -> Iterator[tuple[str, str]]:
    yield "source", config.source
    yield "reference", config.reference
    yield from ((f"sha256.{name}", digest) for name, digest in config.sha256.items())
    yield from facts(report)


def _counts(cases: list[_Case], seconds: float) -> dict[str, str]:
    failures = sum(bool(case.failure) for case in cases)
    counts = {"tests": len(cases), "failures": failures, "errors": 0, "skipped": 0}
    return {**{name: str(count) for name, count in counts.items()}, "time": f"{seconds:.3f}"}


def _append(suite: ElementTree.Element, case: _Case) -> None:
    element = ElementTree.SubElement(suite, "testcase", classname=escaped(case.classname), name=escaped(case.name))
    if case.failure:
        reason = escaped(case.failure)
        ElementTree.SubElement(element, "failure", message=reason, type="fail").text = reason
    if case.output:
        ElementTree.SubElement(element, "system-out").text = escaped(case.output)
