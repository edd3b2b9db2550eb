"""Writing a report to its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import reason_of
from aves_artifacts.files.writing import check_writable, make_folder, replacing
from aves_verify.report.html import to_html
from aves_verify.report.json_report import to_json
from aves_verify.report.junit import to_junit
from aves_verify.report.markdown import to_markdown
from aves_verify.report.report import Report

Files = Mapping[Path, Callable[[Report], str]]  # each file, and what makes its text

# The numbers first: whatever happens to a rendering, they are written.
_FOLDER = {"report.json": to_json, "junit.xml": to_junit, "report.md": to_markdown, "report.html": to_html}


def wanted(*, folder: Path | None = None, json_file: Path | None = None, junit_file: Path | None = None) -> Files:
    """List the files that were asked for; ``folder`` gets one of every kind, and is made where it is missing.

    Raises InputError where one cannot be written: call it before the work that the report is of.
    """
    files: dict[Path, Callable[[Report], str]] = {}
    if folder is not None:
        _make(folder)
        files = {folder / name: render for name, render in _FOLDER.items()}
    files |= {path: render for path, render in ((json_file, to_json), (junit_file, to_junit)) if path is not None}
    for path in files:
        check_writable(path)
    return files


def write(report: Report, files: Files) -> None:
    """Write all files of a report, each whole or not at all. Raises InputError."""
    for path, render in files.items():
        with replacing(path) as temporary:
            temporary.write_text(render(report), encoding="utf-8")


def replace_earlier(report: Report, files: Files) -> None:
    """Write those files that are there already: whatever ends a run must not leave those of an earlier one as its own.

    Raises InputError.
    """
    write(report, {path: render for path, render in files.items() if path.exists()})


def _make(folder: Path) -> None:
    try:
        make_folder(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made: {reason_of(error)}; choose another folder") from None
