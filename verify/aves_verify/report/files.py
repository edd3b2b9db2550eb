"""The files that a report is written to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from aves_artifacts.atomic import check_writable, replacing
from aves_verify.report import Report
from aves_verify.report.json_report import to_json
from aves_verify.report.junit import to_junit

Files = Mapping[Path, Callable[[Report], str]]  # each file, and what makes its text


def wanted(*, json_file: Path | None = None, junit_file: Path | None = None) -> Files:
    """The files that were asked for. Raises InputError where one cannot be written, so before any work is done."""
    single = ((json_file, to_json), (junit_file, to_junit))
    files = {path: render for path, render in single if path is not None}
    for path in files:
        check_writable(path)
    return files


def write(report: Report, files: Files) -> None:
    """Write them all, each whole or not at all. Raises InputError."""
    for path, render in files.items():
        with replacing(path) as temporary:
            temporary.write_text(render(report), encoding="utf-8")
