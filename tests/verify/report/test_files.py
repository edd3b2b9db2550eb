"""A real run writes every rendering; what cannot be written is told before the work."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from aves_artifacts.bundle.bundle import Bundle
from aves_verify.cli import main

pytestmark = pytest.mark.slow

FILES = ("report.html", "report.json", "report.md", "junit.xml")


def run(tiny_bundle: Bundle, *options: object) -> Result:
    command = [
        "--bundle",
        str(tiny_bundle.folder),
        "--backends",
        "torchaudio,onnx",
        *(str(option) for option in options),
    ]
    return CliRunner().invoke(main, command)


def test_a_run_writes_every_rendering(tiny_bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    result = run(tiny_bundle, "--report", folder, "--layers", "all", "--explain", "--characterise")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    document = json.loads((folder / "report.json").read_text())
    assert document["passed"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    for title in (
        "relative difference where",
        "Error ratio by",
        "sound, and",
        "over the layers",
    ):
        assert title in page
    # so small an encoder's rounding is now above and now below what is called a beginning
    assert "onnx: the error along the encoder" in page or "onnx: where the error begins" in page
    for change in ("gain of 0.5", "in a batch of 3"):
        assert change in page
    assert page.count("<tr data-status=") == len(document["configs"][0]["comparisons"])
    assert (folder / "report.md").read_text(encoding="utf-8").startswith("## aves-verify: ✅ passed")
    assert ElementTree.parse(folder / "junit.xml").getroot().attrib["failures"] == "0"


def test_a_failure_is_written_too(tiny_bundle: Bundle, tmp_path: Path) -> None:
    result = run(tiny_bundle, "--report", tmp_path, "--atol", "0", "--rtol", "0")
    assert result.exit_code == 1
    assert "<h1>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "report.md").read_text(encoding="utf-8").startswith("## aves-verify: ❌ failed")


@pytest.mark.parametrize("name", FILES)
def test_what_cannot_be_written_is_told_before_the_work(tiny_bundle: Bundle, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    result = run(tiny_bundle, "--report", tmp_path, "--audio", tmp_path / "not-there.wav")
    assert result.exit_code == 2
    result = run(tiny_bundle, "--report", tmp_path)
    assert result.exit_code == 2
    assert f"{name}: this is a folder" in result.output
    assert "Ports against" not in result.output
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_in_the_folders_place_is_told(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        result = run(tiny_bundle, "--report", folder)
        assert result.exit_code == 2
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert len([line for line in result.output.splitlines() if line.startswith("Error")]) == 1
