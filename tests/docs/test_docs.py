"""The snippets of the documentation, executed exactly as they stand there, and what they are said to print."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.report.reduced import reduced_table
from benchmarks.report.results import read
from benchmarks.report.runs import runs_table

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "onnx-drift.md").read_text(encoding="utf-8")
SNIPPET, PRINTED = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, flags=re.DOTALL)[0]


def test_the_operator_alone_loses_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    """The last digits depend on the processor; that ONNX Runtime loses several times as much does not."""
    names: dict[str, Any] = {}
    exec(SNIPPET, names)  # noqa: S102 - our own page
    lines, said = (
        [line.rsplit(maxsplit=1) for line in text.splitlines()] for text in (capsys.readouterr().out, PRINTED)
    )
    assert [name for name, _ in lines] == [name for name, _ in said]
    np.testing.assert_allclose(*(np.array([float(size) for _, size in rows]) for rows in (lines, said)), rtol=0.5)
    runtime, numpy_float32 = (float(size) for _, size in lines)
    assert runtime > 3 * numpy_float32


def test_the_error_ratios_are_those_that_were_measured() -> None:
    lines = (DOCS / "data" / "onnx_accuracy.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    told = re.findall(
        r"^\|.*\| (?:ours|ordinary export) \| ([\d.]+) \| ([\d.]+) \| (\d+) of (\d+) \|$", PAGE, re.MULTILINE
    )
    measured = []
    for model in dict.fromkeys(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == model]
        for exporter in ("graph", "torch"):
            ratios = [row[exporter] / row["original"] for row in mine]
            close = sum(row[f"{exporter} close"] for row in mine)
            measured.append((np.median(ratios), max(ratios), close, len(mine)))
    assert len(measured) == 4
    for row, found in zip(told, measured, strict=True):
        for number, value in zip(row, found, strict=True):
            decimals = len(number.partition(".")[2])
            assert number == f"{value:.{decimals}f}"


def test_the_benchmarks_table_is_of_the_runs_that_are_kept() -> None:
    page = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    assert runs_table([DOCS / "data" / f"benchmarks_{run}.json" for run in (1, 2)]) in page


def test_the_table_of_smaller_graphs_is_of_the_runs_that_are_kept() -> None:
    page = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    runs = [read(path)["reduced"].part.reduced for path in sorted((DOCS / "data").glob("benchmarks_reduced_*.json"))]
    assert reduced_table(runs) in page
