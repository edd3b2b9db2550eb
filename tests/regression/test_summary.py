"""The table of all legs, from results that are written here by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.regression import summary
from tests.regression.legs import LEGS
from tests.regression.models import FULL_SIZE

PAGE = "# Versions\n\n<!-- made by nox -s torch_table -->\n\nold\n<!-- end -->\n\nMore.\n"


def row(backend: str, max_abs: float = 5e-6, ratio: float = 1.0, model: str = FULL_SIZE) -> dict[str, Any]:
    return {"model": model, "backend": backend, "max_abs": max_abs, "error_ratio": ratio, "worst_ratio": 1.5 * ratio}


def result(name: str, *rows: dict[str, Any], **others: Any) -> dict[str, Any]:
    names = ("python", "torch", "torchaudio", "numpy", "onnx", "onnxruntime", "transformers")
    here = dict.fromkeys(names, "1.2.3") | {"cpu": "A CPU"}
    leg = LEGS[name]
    return {
        "leg": name,
        "axis": leg.axis,
        "python": leg.python,
        "environment": here,
        "torchaudio_extension": True,
        "numbers": [*(rows or (row("torchaudio"), row("onnx"))), row("torchaudio", model="base")],
        "failures": [],
        "notes": [],
        "seconds": 60.0,
        "seconds_to_install": 30.0,
        "gigabytes": 6.5,
        **others,
    }


def written(folder: Path, *results: dict[str, Any]) -> list[dict[str, Any]]:
    for item in results:
        (folder / f"{item['leg']}.json").write_text(json.dumps(item))
    return summary.read_results(folder)


def test_every_leg_has_a_row_with_magnitudes(tmp_path: Path) -> None:
    results = written(tmp_path, *map(result, LEGS))
    text = summary.markdown(results)
    assert f"**{len(LEGS)} of {len(LEGS)} legs passed**, 0 failed, 0 not run. 27 minutes in all" in text
    assert "at most 6.5 GB of disk at a time; one thread of: A CPU." in text
    for name in LEGS:
        assert f"| {name} | 1.2.3 | 1.2.3 | 1.2.3 | 1.2.3 | 1.2.3 | 1.2.3 | 1.2.3 | - | 5.0e-06 (1.00) |" in text
    assert "None: no magnitude changes by more than 2 times." in text


def test_a_leg_that_was_not_run_is_a_row(tmp_path: Path) -> None:
    told = result("torch-2.8.0", not_run="Python 3.11 is not here", numbers=[])
    del told["environment"]
    text = summary.markdown(written(tmp_path, told))
    assert "| torch-2.8.0 | 3.11 |" in text
    assert "not run: Python 3.11 is not here |" in text
    assert text.count("not run: no result |") == len(LEGS) - 1
    assert f"**0 of {len(LEGS)} legs passed**, 0 failed, {len(LEGS)} not run." in text


def test_a_failed_leg_is_told(tmp_path: Path) -> None:
    text = summary.markdown(written(tmp_path, result("torch-2.8.0", failures=["base.onnx has other bytes"])))
    assert "### Failures\n\n- torch-2.8.0: base.onnx has other bytes" in text
    assert "| **failed** |" in text


def test_a_jump_under_the_noise_floor_shows(tmp_path: Path) -> None:
    results = written(
        tmp_path,
        result("torch-2.8.0", row("onnx", 5e-6, 1.0)),
        result("torch-2.9.1", row("onnx", 1.1e-5, 2.5)),
        result("torch-2.11.0", row("onnx", 1.2e-5, 2.4)),
    )
    assert list(summary.jumps(results)) == [
        "torch-2.8.0 → torch-2.9.1, onnx: error ratio of full-size 1 → 2.5 (and 1 more)"
    ]


def test_a_fall_is_a_jump_too_and_axes_are_not_mixed(tmp_path: Path) -> None:
    results = written(
        tmp_path,
        result("torch-2.8.0", row("onnx", 5e-6)),
        result("torch-2.9.1", row("onnx", 2e-6)),
        result("onnxruntime-1.17.3", row("onnx", 2e-5)),
    )
    assert list(summary.jumps(results)) == ["torch-2.8.0 → torch-2.9.1, onnx: max |diff| of full-size 5e-06 → 2e-06"]


def test_a_note_of_several_legs_is_told_once(tmp_path: Path) -> None:
    names = ("torch-2.8.0", "torch-2.9.1")
    text = summary.markdown(
        written(
            tmp_path, *(result(name, notes=["base, no \x1b[96mexporter\x1b[0m", "deep, no exporter"]) for name in names)
        )
    )
    assert "### Notes\n\n- torch-2.8.0 (base, deep); torch-2.9.1 (base, deep): no exporter\n" in text


def test_transformers_has_its_version_and_its_numbers_or_is_told_not_to_be_there(tmp_path: Path) -> None:
    with_it = result("torch-2.8.0", row("torchaudio"), row("transformers", 7e-6, 1.25))
    without = result("torch-2.9.1", notes=["base, transformers: not installed beside this torch; no folder is loaded"])
    without["environment"]["transformers"] = None
    lines = summary.markdown(written(tmp_path, with_it, without)).splitlines()
    columns = _cells(next(line for line in lines if line.startswith("| leg |")))
    version, ran = columns.index("transformers"), columns.index("transformers runs")
    told = {cells[1]: (cells[version], cells[ran]) for line in lines if (cells := _cells(line)) and len(cells) > ran}
    assert told["torch-2.8.0"] == ("1.2.3", "7.0e-06 (1.25)")
    assert told["torch-2.9.1"] == ("-", "-")
    assert "- torch-2.9.1 (base): transformers: not installed beside this torch; no folder is loaded" in lines


def test_the_worst_of_transformers_counts_among_the_tiny_models(tmp_path: Path) -> None:
    far = row("transformers", ratio=6.0, model="base")
    text = summary.markdown(written(tmp_path, result("torch-2.8.0", row("torchaudio"), far)))
    assert "| ≤ 9.0 | passed |" in text


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]


def test_torchaudio_without_its_extension_is_marked(tmp_path: Path) -> None:
    text = summary.markdown(written(tmp_path, result("torch-newest", torchaudio_extension=False)))
    assert "| torch-newest | 1.2.3 | 1.2.3 | 1.2.3 † |" in text


@pytest.mark.slow
@pytest.mark.parametrize(("failures", "status"), [([], 0), (["it drifts"], 1)])
def test_the_docs_are_made_anew(
    failures: list[str], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs, results = tmp_path / "docs", tmp_path / "results"
    (docs / "data").mkdir(parents=True)
    results.mkdir()
    (docs / "torch-versions.md").write_text(PAGE)
    written(results, result("torch-2.8.0", failures=failures), result("onnxruntime-1.17.3"))
    monkeypatch.setattr(sys, "argv", ["summary", str(results), "--docs", str(docs)])
    with pytest.raises(SystemExit) as ended:
        summary.main()
    assert ended.value.code == status
    page = (docs / "torch-versions.md").read_text()
    assert page.startswith("# Versions\n")
    assert page.endswith("<!-- end -->\n\nMore.\n")
    assert "old" not in page.partition("More")[0].partition("###")[0]
    assert "| torch-2.8.0 |" in page
    kept = [json.loads(line) for line in (docs / "data" / "torch_versions.jsonl").read_text().splitlines()]
    assert [item["leg"] for item in kept] == list(LEGS)
    assert "<svg" in (docs / "torch-versions.svg").read_text()


def test_the_docs_hold_what_their_data_says() -> None:
    """The page's tables are those of the results beside it, of every leg."""
    docs = Path(__file__).parents[2] / "docs"
    lines = (docs / "data" / "torch_versions.jsonl").read_text().splitlines()
    results = [json.loads(line) for line in lines]
    assert [item["leg"] for item in results] == list(LEGS)
    assert (
        summary.replaced((docs / "torch-versions.md").read_text(), summary.markdown(results))
        == (docs / "torch-versions.md").read_text()
    )
    assert not any(item["failures"] for item in results)
