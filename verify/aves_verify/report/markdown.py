"""The report for a pull request or a model card: Markdown as GitHub and Hugging Face show it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from aves_artifacts.base.markdown import code
from aves_artifacts.base.messages import cut_off
from aves_verify.report.corpus import Corpus
from aves_verify.report.costs import COSTS, HEADINGS, cost_rows
from aves_verify.report.naming import for_people
from aves_verify.report.numbers import cosine, held_to, number, ratio
from aves_verify.report.of_corpus import text as corpus_text
from aves_verify.report.report import ConfigReport, Report
from aves_verify.report.summary import (
    DRIFT,
    NOTHING,
    Port,
    facts,
    largest_difference,
    note,
    notes,
    outcome,
    ports,
    significance,
    title,
)

_MOST_TOLD = 12  # comparisons of one port and status told one by one; the rest is counted
_HEADINGS = ("backend", "status", "max \\|diff\\|", "on", "max rel", "min cosine", "error ratio", "near zero")
_MARKS = {
    "pass": "✅ pass",
    "near-zero drift": "✅ near-zero drift",
    "pass (reduced)": "☑️ pass (reduced)",
    "fail": "❌ fail",
}


def to_markdown(report: Report) -> str:
    """Write the report as Markdown: verdict, a table per configuration, what failed and why, and the rest folded away.

    Whatever comes from outside stands in code spans, where no markup, link or mention takes effect.
    """
    return "\n".join(_lines(for_people(report))) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"## aves-verify: {'✅ passed' if report.passed else '❌ failed'}"
    yield ""
    yield outcome(report, code)
    for sentence in (largest_difference(report, code), significance(report, code), note(report)):
        if sentence:
            yield ""
            yield sentence
    for config in report.configs:
        yield from _config(config)
    yield from _details(report)


def _config(config: ConfigReport) -> Iterator[str]:
    yield from ("", f"### {code(title(config))}", "")
    found = ports(config)
    if found:
        yield from _table(_HEADINGS, (_row(port) for port in found))
    else:
        yield f"❌ {NOTHING}"
    if rows := list(cost_rows(config)):
        yield from ("", f"**What smaller graphs cost.** {COSTS}", "")
        yield from _table(HEADINGS, ((row.port, code(row.worst.clip, cell=True), *row.cells) for row in rows))
    if config.corpus is not None:
        yield from _corpus(config.corpus)
    failed = [f"- {code(problem)}" for problem in config.problems]
    failed += [line for port in found for line in _told(port, "fail")]
    if failed:
        yield from ("", "**What failed**", "", *failed)
    drifted = [line for port in found for line in _told(port, "near-zero drift")]
    if drifted:
        yield from ("", f"**Near-zero drift.** {DRIFT}", "", *drifted)
    yield from ("", *(f"- {code(told)}" for told in notes(config)))
    if config.explanations:
        yield from ("", "**Where the error begins**", "", *(f"- {code(e.text)}" for e in config.explanations))


def _corpus(corpus: Corpus) -> Iterator[str]:
    told = "; ".join(f"{name}: {code(value)}" for name, value in corpus_text.facts_of(corpus))
    yield from ("", f"**All windows of the corpus.** {told}.", "")
    headings = [heading.replace("|", "\\|") for heading in corpus_text.HEADINGS]
    yield from _table(headings, (row.cells for row in corpus_text.total_rows(corpus)))
    if failures := list(corpus_text.failure_lines(corpus)):
        yield from ("", "**Why windows and recordings failed**", "", *(f"- {code(line)}" for line in failures))


def _row(port: Port) -> tuple[str, ...]:
    worst = port.largest
    return (
        port.backend,
        _MARKS[port.status],
        number(worst.max_abs),
        f"{code(worst.clip, cell=True)}, {worst.layer}",
        number(port.max_rel),
        cosine(port.cosine_min),
        ratio(port.error_ratio),
        str(port.flagged),
    )


def _told(port: Port, status: str) -> Iterator[str]:
    told, left = cut_off([c for c in port.comparisons if c.status == status], _MOST_TOLD)
    for comparison in told:
        yield f"- {port.backend}, {code(comparison.clip)}, {comparison.layer}: {code(comparison.reason)}"
    if left:
        yield f"- {port.backend}: and {left} more"


def _details(report: Report) -> Iterator[str]:
    """Folded away: what the ports were held to, the machine, and the files."""
    yield from ("", "<details><summary>Tolerances, environment and files</summary>", "")
    limits = ((name, code(held_to(limit), cell=True)) for name, limit in report.tolerances.items())
    yield from _table(("backend", "held to"), limits)
    yield ""
    yield from _table(("environment", ""), ((name, code(value, cell=True)) for name, value in facts(report)))
    yield ""
    files = (
        (code(config.name, cell=True), name, code(digest, cell=True))
        for config in report.configs
        for name, digest in config.sha256.items()
    )
    yield from _table(("configuration", "file", "SHA-256"), files)
    yield from ("", "</details>")


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
