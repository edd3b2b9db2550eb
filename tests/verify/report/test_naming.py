"""Two folders hold recordings of the same names: people are told which is which, programs have the whole paths."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import Result
from tests.support.commands import invoke
from tests.support.comparisons import is_of_clip

from aves_artifacts.bundle.bundle import Bundle
from aves_verify.cli import main

SHORT = {"dawn/owl.wav", "dusk/owl.wav", "wren.wav"}


cli = functools.partial(invoke, main)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("season") / "recordings of 2024"
    for i, name in enumerate(("dawn/owl.wav", "dusk/owl.wav", "dusk/wren.wav")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.3 * np.sin(np.arange(1600 + 400 * i) / (5 + i)), 16_000)
    return folder


@pytest.fixture(scope="module")
def verified(tiny_bundle: Bundle, recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("report")
    command = ("--bundle", tiny_bundle.folder, "--backends", "torchaudio,onnx", "--audio", recordings / "dawn")
    return cli(*command, "--audio", recordings / "dusk", "--explain", "--report", folder, "-v"), folder


@pytest.mark.slow
def test_people_read_the_end_that_tells_them_apart(verified: tuple[Result, Path], recordings: Path) -> None:
    result, folder = verified
    assert result.exit_code == 0, result.output
    for text in (result.output, (folder / "report.md").read_text(), (folder / "report.html").read_text()):
        assert str(recordings) not in text
        assert recordings.name not in text
    page = (folder / "report.html").read_text()
    for name in (*SHORT, "wren.wav, zero-padded"):
        assert f">{name}<" in page
        assert f" {name} " in result.output
    assert ">owl.wav<" not in page


def test_programs_read_the_whole_path(verified: tuple[Result, Path], recordings: Path) -> None:
    _, folder = verified
    (config,) = json.loads((folder / "report.json").read_text())["configs"]
    paths = {str(recordings / name) for name in ("dawn/owl.wav", "dusk/owl.wav", "dusk/wren.wav")}
    assert {c["clip"] for c in config["comparisons"] if is_of_clip(c["clip"])} == {
        *paths,
        f"{recordings / 'dusk/wren.wav'}, zero-padded",
        "batch of 3",
    }
    assert {explanation["clip"] for explanation in config["explanations"]} <= paths
    assert str(recordings / "dawn" / "owl.wav") in (folder / "junit.xml").read_text()


def test_what_changed_is_told_the_same_way(verified: tuple[Result, Path], recordings: Path, tmp_path: Path) -> None:
    before = verified[1] / "report.json"
    after = json.loads(before.read_text())
    for comparison in after["configs"][0]["comparisons"]:
        if comparison["clip"] == str(recordings / "dusk" / "owl.wav"):
            comparison["status"] = "fail"
    (tmp_path / "after.json").write_text(json.dumps(after))
    told = cli("diff", before, tmp_path / "after.json")
    assert told.exit_code == 1
    assert ", onnx, dusk/owl.wav, final" in told.output
    assert recordings.name not in told.output
    changes = json.loads(cli("diff", before, tmp_path / "after.json", "--json").output)["changes"]
    assert {change["where"].split(", ")[2] for change in changes} == {str(recordings / "dusk" / "owl.wav")}
