"""The command aves-verify: what it writes, what it says, and how it ends on bad usage."""

import functools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from tests.support.bundles import NAME
from tests.support.commands import invoke
from tests.support.damage import exchange_layers, rewrite

from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.configurations.catalog import catalog
from aves_artifacts.configurations.store import bundle_folder
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import write_stand_in
from aves_verify.cli import main

cli = functools.partial(invoke, main)


def test_the_command_passes_and_writes_the_contract(tiny_checkpoint: Path, tiny_bundle: Bundle, tmp_path: Path) -> None:
    result = cli(
        "--bundle", tiny_bundle.folder, "--fairseq", tiny_checkpoint, "--json", tmp_path / "r.json", "--verbose"
    )
    assert result.exit_code == 0, result.output
    assert "PASSED: " in result.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["schema"], report["passed"]) == (1, True)
    assert {"python", "torch", "torchaudio", "onnxruntime", "fairseq", "cpu", "threads"} <= set(report["environment"])
    assert {"atol", "rtol"} <= set(report["tolerance"])
    (config,) = report["configs"]
    assert (config["name"], config["source"], config["passed"]) == (NAME, "file", True)
    assert set(config["sha256"]) == {"fairseq", "torchaudio", "config", "heads", "onnx"}
    assert {"load", "fairseq", "torchaudio", "onnx"} <= set(config["seconds"])
    keys = {"backend", "reference", "clip", "layer", "status", "max_abs", "max_rel", "mean_abs", "cosine_min"}
    for comparison in config["comparisons"]:
        assert keys | {"min_tolerance", "error_ratio", "near_zero"} <= set(comparison)
        assert set(comparison["near_zero"]) == {"threshold", "elements", "flagged", "max_rel", "max_abs"}
    assert report["seconds"]["total"] > 0


@pytest.mark.slow
def test_the_command_names_what_failed(tiny_checkpoint: Path, bundle: Bundle, tmp_path: Path) -> None:
    rewrite(bundle, exchange_layers)
    result = cli("--bundle", bundle.folder, "--fairseq", tiny_checkpoint, "--json", tmp_path / "r.json")
    assert result.exit_code == 1
    assert f"{NAME}, torchaudio, clip chirp, final" in result.output
    assert f"FAILED: {NAME}" in result.output
    assert json.loads((tmp_path / "r.json").read_text())["passed"] is False


@pytest.mark.slow
def test_loose_files_and_recordings(tiny_checkpoint: Path, tiny_bundle: Bundle, tmp_path: Path) -> None:
    import soundfile

    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio" / "a.wav", np.sin(np.arange(44_100) / 20)[:, None] * [0.5, 0.1], 44_100)
    files = ("--fairseq", tiny_checkpoint, "--torchaudio", tiny_bundle.folder / f"{NAME}.torchaudio.pt")
    config = (
        "--config",
        tiny_bundle.folder / f"{NAME}.torchaudio.model_config.json",
        "--onnx",
        tiny_bundle.folder / f"{NAME}.onnx",
    )
    result = cli(*files, *config, "--audio", tmp_path / "audio")
    assert result.exit_code == 0, result.output
    (tmp_path / "audio" / "b.wav").write_text("not audio")
    result = cli(*files, *config, "--audio", tmp_path / "audio")
    assert result.exit_code == 1, result.output
    assert "b.wav" in result.output
    assert "comparisons in" in result.output  # the good one was compared


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--all-configs --stand-in"),
        (("--stand-in",), "expected one of"),
        (("nowhere", "--stand-in"), "nowhere: neither a configuration nor a file"),
        (("bio", "--bundle", "x"), "expected one of"),
        (("bio", "--fairseq", "x.pt"), "take no files"),
        (("--bundle", "nowhere"), "no such folder"),
        (("--bundle", "nowhere", "--onnx", "x.onnx"), "expected one of"),
        (("--torchaudio", "x.pt"), "their config go together"),
        (("--fairseq", "nowhere.pt", "--onnx", "x.onnx"), "no file for torchaudio"),
        (("--fairseq", "nowhere.pt", "--onnx", "x.onnx", "--backends", "fairseq,onnx"), "nowhere.pt"),
        (("bio", "--stand-in", "--backends", "onnx"), "at least two"),
        (("bio", "--stand-in", "--audio", "nowhere.wav"), "nowhere.wav"),
    ],
)
def test_bad_usage_ends_with_one_line_and_status_2(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVES_HOME", str(tmp_path / "store"))
    result = cli(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_published_files_that_are_not_here_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVES_HOME", str(tmp_path))
    result = cli("bio")
    assert result.exit_code == 2
    assert str(tmp_path / "aves-base-bio" / "aves-base-bio.pt") in result.output
    assert "--stand-in" in result.output


@pytest.mark.slow
def test_published_files_in_the_store_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVES_HOME", str(tmp_path))
    folder = tmp_path / "aves-base-bio"
    write_stand_in("bio", folder / "aves-base-bio.pt", geometry="tiny")
    assert "bio: its original has no ports yet; give --download to make them" in cli("bio").output
    make_bundle(Source(folder / "aves-base-bio.pt"), Target(bundle_folder(catalog()["bio"]), "aves-base-bio"))
    result = cli("bio")
    assert result.exit_code == 0, result.output
    assert "bio" in result.output


@pytest.mark.slow
def test_tolerances_can_be_overridden(tiny_checkpoint: Path, tiny_bundle: Bundle, tmp_path: Path) -> None:
    result = cli(
        "--bundle",
        tiny_bundle.folder,
        "--fairseq",
        tiny_checkpoint,
        "--atol",
        "0",
        "--rtol",
        "0",
        "--json",
        tmp_path / "r.json",
    )
    assert result.exit_code == 1
    tolerance = json.loads((tmp_path / "r.json").read_text())["tolerance"]
    assert (tolerance["atol"], tolerance["rtol"]) == (0, 0)
    assert set(tolerance["by_backend"]) == {"torchaudio", "onnx"}


@pytest.mark.slow
def test_names_from_outside_are_shown_as_they_are(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import soundfile

    monkeypatch.setenv("COLUMNS", "400")  # the table cuts what is too wide for it, and pytest's folders may be that
    soundfile.write(tmp_path / "[bold]\x1b[31m[x.wav", np.zeros(8000), 16_000)
    result = cli("--bundle", tiny_bundle.folder, "--backends", "torchaudio,onnx", "--audio", tmp_path, "-v")
    assert result.exit_code == 0, result.output
    assert "[bold]" in result.output
    assert "\x1b" not in result.output


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_name_that_is_no_text_loses_nothing(tiny_bundle: Bundle, tmp_path: Path) -> None:
    import soundfile

    folder = os.fsencode(tmp_path)
    soundfile.write(tmp_path / "good.wav", np.zeros(8000), 16_000)
    os.rename(tmp_path / "good.wav", os.path.join(folder, b"\xff.wav"))
    result = cli("--bundle", tiny_bundle.folder, "--backends", "torchaudio,onnx", "--audio", tmp_path, "-v")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("place", ["folder", "nowhere/r.json"])
def test_a_report_that_cannot_be_written_is_told_before_the_work(
    tiny_checkpoint: Path, tiny_bundle: Bundle, tmp_path: Path, place: str
) -> None:
    (tmp_path / "folder").mkdir()
    result = cli("--bundle", tiny_bundle.folder, "--fairseq", tiny_checkpoint, "--json", tmp_path / place)
    assert result.exit_code == 2
    assert "comparisons" not in result.output


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_what_is_no_tolerance_is_refused(tiny_checkpoint: Path, tiny_bundle: Bundle, value: str) -> None:
    assert cli("--bundle", tiny_bundle.folder, "--fairseq", tiny_checkpoint, "--atol", value).exit_code == 2
