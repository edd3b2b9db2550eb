import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.support.bundles import make_tiny

from aves_artifacts.cli import main


def test_list_tells_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVES_HOME", str(tmp_path))
    (tmp_path / "aves-base-bio").mkdir()
    (tmp_path / "aves-base-bio" / "aves-base-bio.pt").write_bytes(b"x" * 2500)
    (tmp_path / "aves-base-core").mkdir()
    (tmp_path / "aves-base-core" / "aves-base-core.pt.part").write_bytes(b"x")
    (tmp_path / "aves-base-all" / "bundle").mkdir(parents=True)
    (tmp_path / "aves-base-all" / "bundle" / "manifest.json").touch()
    output = CliRunner().invoke(main, ["list"]).output
    assert "5054 h" in output
    assert "here: original 2.5 kB" in output
    assert "here: original in part (1 B)" in output
    assert output.count("nothing here") == 4
    assert "here: a bundle made here" in output
    entries = {entry["name"]: entry for entry in json.loads(CliRunner().invoke(main, ["list", "--json"]).output)}
    assert list(entries)[:4] == ["core", "bio", "nonbio", "all"]
    assert entries["bio"]["files"]["original"]["size"] == 2500
    assert entries["bio"]["files"]["onnx"]["size"] is None
    assert entries["bio"]["bundle"] is None
    assert entries["all"]["bundle"] == str(tmp_path / "aves-base-all" / "bundle")
    assert entries["core"]["files"]["original"]["partial"] == 1


def test_check_names_the_file_that_changed(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path / "bundle").folder
    assert CliRunner().invoke(main, ["check", str(folder)]).exit_code == 0
    path = folder / "aves-base-bio.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    result = CliRunner().invoke(main, ["check", str(folder)])
    assert result.exit_code == 1
    assert "aves-base-bio.onnx" in result.output


def test_check_refuses_what_is_no_bundle(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        result = CliRunner().invoke(main, ["check", str(place)])
        assert result.exit_code == 2
        assert len(result.output.splitlines()) == 1


def test_what_the_system_refuses_is_no_bug(tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["check", str(tmp_path / ("n" * 300))])
    assert ended.exit_code == 2
    assert ended.output.startswith("Error: ")
    assert "File name too long; give another path" in ended.output
