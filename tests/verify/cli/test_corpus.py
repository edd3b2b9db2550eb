"""The commands of aves-verify corpus: what they write, what they say, and how they end on bad usage."""

import functools
import json
from pathlib import Path

import pytest
from tests.support.commands import invoke
from tests.support.corpus_runs import sounds

from aves_artifacts.bundle.bundle import Bundle
from aves_verify.cli import main

cli = functools.partial(invoke, main, "corpus")


def test_a_run_and_its_report(tiny_bundle: Bundle, tiny_checkpoint: Path, tmp_path: Path) -> None:
    sounds(tmp_path / "sea", 2)
    given = ("--bundle", tiny_bundle.folder, "--fairseq", tiny_checkpoint, "--audio", tmp_path / "sea", "--window", 0.5)
    options = (*given, "--shard-windows", 4, "--backends", "torchaudio,onnx", "--parts", tmp_path / "parts")
    done = cli("run", *options)
    assert done.exit_code == 0, done.output
    assert "2 recordings, 8 windows, 0.00 h in " in done.output
    assert f"next: aves-verify corpus report --parts {tmp_path / 'parts'}" in done.output
    again = cli("run", *options, "--progress", "json")
    assert again.exit_code == 0
    assert ": 0 made, " in again.output
    lines = [json.loads(line) for line in again.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["start", "end"]
    report = cli(
        "report", "--parts", tmp_path / "parts", "--report", tmp_path / "report", "--json", tmp_path / "r.json"
    )
    assert report.exit_code == 0, report.output
    assert "PASSED: " in report.output
    document = json.loads((tmp_path / "r.json").read_text())
    assert document["passed"]
    (config,) = document["configs"]
    assert (config["corpus"]["windows"], config["corpus"]["recordings"], config["corpus"]["missing"]) == (8, 2, [])
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "report.html", "report.json", "report.md", "junit.xml",
    }  # fmt: skip
    next(path for path in (tmp_path / "parts").glob("*.parquet") if "signals" not in path.name).unlink()
    incomplete = cli("report", "--parts", tmp_path / "parts")
    assert incomplete.exit_code == 1
    assert "incomplete: 1 of " in incomplete.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--shard", "4/3"), "'4/3' is not a share of the tasks: expected I/N"),
        (("--scheduler", "tcp://h:1", "--workers", "2"), "and not of both; give --workers or --scheduler"),
        (("--window", "0"), "a window of 0 seconds; give --window from"),
        (("--hop", "-1"), "a window every -1 seconds; give --hop from"),
        (("--scheduler", "nowhere"), "nowhere: no scheduler of Dask answers"),
        (("--reference", "nowhere"), "no run of a corpus"),
        (("--min-snr", "20", "--fairseq", "x"), "smaller graphs"),
    ],
)
def test_bad_usage_is_one_line(arguments: tuple[str, ...], told: str, tiny_bundle: Bundle, tmp_path: Path) -> None:
    sounds(tmp_path / "sea", 1, 0.5)
    subject = () if "--fairseq" in arguments else ("--bundle", tiny_bundle.folder)
    given = (*subject, "--audio", tmp_path / "sea", "--parts", tmp_path / "parts", "--backends", "torchaudio,onnx")
    result = cli("run", *given, *arguments)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert told in line


def test_several_configurations_are_not_recorded_at_once(tmp_path: Path) -> None:
    result = cli("record", "core", "bio", "--stand-in", "--audio", tmp_path, "--parts", tmp_path / "parts")
    assert result.exit_code == 2
    assert "a recording is of one configuration" in result.output


def test_nothing_to_report_on(tmp_path: Path) -> None:
    result = cli("report", "--parts", tmp_path)
    assert result.exit_code == 2
    assert "no run of a corpus; make one with: aves-verify corpus run" in result.output
    assert not list(tmp_path.iterdir())
