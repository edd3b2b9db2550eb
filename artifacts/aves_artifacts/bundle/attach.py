"""Putting aves-verify's report into a bundle, only where it is about these very files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.bundle import Bundle, hash_problems, read_bundle
from aves_artifacts.bundle.manifest import FILE_NAMES, MANIFEST, REDUCED, REPORT, TRANSFORMERS, Manifest, ReportRecord
from aves_artifacts.bundle.model_card import with_card
from aves_artifacts.bundle.report_document import ReportDocument, parse_bundle_report
from aves_artifacts.files.writing import replacing


def attach_report(folder: Path, document: bytes) -> Bundle:
    """Put the JSON report of aves-verify into a bundle: its file, its digest and verdict, its table in the model card.

    A report that did not pass is taken in as such. The manifest is written last; a killed run leaves a bundle that
    takes the report anew. Raises InputError for a report that is not of this bundle's files, and where these are not
    those of the manifest.
    """
    bundle = read_bundle(folder)
    report = parse_bundle_report(document, "the report")
    problems = [*report_problems(report, bundle.manifest), *hash_problems(bundle)]
    if problems:
        raise InputError(*(f"{folder}: the report is not attached: {problem}" for problem in problems))
    record = ReportRecord(REPORT, len(document), hashlib.sha256(document).hexdigest(), report.passed)
    manifest, card = with_card(replace(bundle.manifest, report=record), report)
    # All is written before the first of them gets its name: on a full disk the bundle stays as it is.
    with (
        replacing(folder / MANIFEST) as last,
        replacing(folder / FILE_NAMES["card"]) as then,
        replacing(folder / REPORT) as first,
    ):
        first.write_bytes(document)
        then.write_bytes(card)
        last.write_bytes(manifest.to_json().encode())
    return Bundle(folder, manifest)


def report_problems(report: ReportDocument, manifest: Manifest) -> Iterator[str]:
    """Why a report is not about a bundle's files and the checkpoint they were made from, or contradicts itself."""
    config = report.config
    for name, sha256 in _compared(manifest):
        found = config.sha256.get(name)
        if found is None:
            yield f"the report does not cover {name}; verify with the original and every backend"
        elif found != sha256:
            yield f"the report is about another {name} {_kind(name)}: SHA-256 {found[:12]}…, expected {sha256[:12]}…"
    nothing_failed = not config.problems and all(comparison.passed for comparison in config.comparisons)
    passed = nothing_failed and {comparison.backend for comparison in config.comparisons} >= manifest.ports
    if report.passed != config.passed or (report.passed and not passed):
        yield "the report's verdict is not what its comparisons say"
    for comparison in config.comparisons:
        if comparison.passed and comparison.max_abs is None:
            yield f"the report says {comparison.status} of {comparison.backend}, {comparison.clip} without a number"


def _compared(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """What a report must be about, by the names that it has there: the original, each file, the folder as one."""
    yield manifest.source.format, manifest.source.sha256
    for role in ("torchaudio", "config", "heads", "onnx", "onnx_data"):
        if role in manifest.files:
            yield role, manifest.files[role].sha256
    for port, role in REDUCED.items():
        if role in manifest.files:
            yield port, manifest.files[role].sha256
    if any(role in manifest.files for role in TRANSFORMERS):
        yield "transformers", manifest.folder_sha256


def _kind(name: str) -> str:
    return "folder" if name == "transformers" else "file"
