"""JUnit XML that continuous integration understands."""

import dataclasses
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from tests.support import hand_made
from tests.support.comparisons import is_of_clip

from aves_artifacts.bundle.bundle import Bundle
from aves_verify.cli import main
from aves_verify.report.junit import to_junit


def cases(suite: ElementTree.Element) -> dict[tuple[str, str], ElementTree.Element]:
    return {(case.attrib["classname"], case.attrib["name"]): case for case in suite.iter("testcase")}


def test_a_suite_per_configuration_and_a_case_per_comparison() -> None:
    report = hand_made.report(hand_made.config("core"), hand_made.config("bio", {"chirp": "fail", "noise": "pass"}))
    root = ElementTree.fromstring(to_junit(report))
    assert [suite.attrib["name"] for suite in root] == ["core", "bio"]
    assert {"tests": "8", "failures": "1", "errors": "0"}.items() <= root.attrib.items()
    assert {"tests": "4", "failures": "1", "time": "15.000"}.items() <= root[1].attrib.items()
    found = cases(root[1])
    assert set(found) == {(b, f"{c}, final") for b in ("torchaudio", "onnx") for c in ("chirp", "noise")}
    failure = found["onnx", "chirp, final"].find("failure")
    assert failure is not None
    assert failure.attrib["message"] == failure.text == report.configs[1].comparisons[2].reason
    assert len(list(root.iter("failure"))) == 1
    properties = {p.attrib["name"]: p.attrib["value"] for p in root[0].iter("property")}
    assert properties["sha256.onnx"] == "2" * 64
    assert properties["fairseq"] == "not installed"


def test_near_zero_drift_passes_with_its_reason() -> None:
    root = ElementTree.fromstring(to_junit(hand_made.report(hand_made.config(kinds={"chirp": "drift"}))))
    case = cases(root)["onnx", "chirp, final"]
    assert case.find("failure") is None
    assert "near zero (below" in (case.findtext("system-out") or "")
    assert root.attrib["failures"] == "0"


def test_problems_and_comparing_nothing_fail() -> None:
    bad = hand_made.config(problems=("a.wav: empty",))
    root = ElementTree.fromstring(to_junit(hand_made.report(bad, dataclasses.replace(bad, comparisons=()))))
    assert root.attrib["failures"] == "3"
    messages = [failure.attrib["message"] for failure in root.iter("failure")]
    assert messages == ["a.wav: empty", "a.wav: empty", "nothing was compared"]


def test_a_failure_without_a_reason_is_still_a_failure() -> None:
    config = hand_made.config(kinds={"chirp": "fail"})
    silent = tuple(dataclasses.replace(c, reason="") for c in config.comparisons)
    root = ElementTree.fromstring(to_junit(hand_made.report(dataclasses.replace(config, comparisons=silent))))
    assert root.attrib["failures"] == "1"


def test_control_characters_do_not_break_the_xml() -> None:
    config = hand_made.config(hand_made.HOSTILE, {hand_made.HOSTILE: "pass"}, problems=(hand_made.HOSTILE,))
    text = to_junit(hand_made.report(config))
    text.encode("utf-8")
    root = ElementTree.fromstring(text)
    shown = r"<script>alert(1)</script>|`*$x_1$*`\x00\x1b[31m\nline\ud800 @everyone"
    assert root[0].attrib["name"] == shown
    assert ("onnx", f"{shown}, final") in cases(root)


@pytest.mark.slow
def test_the_command_writes_it(tiny_bundle: Bundle, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(16_000) / 9), 16_000)
    command = ["--bundle", str(tiny_bundle.folder), "--backends", "torchaudio,onnx", "--audio", str(tmp_path / "a.wav")]
    result = CliRunner().invoke(main, [*command, "--junit", str(tmp_path / "junit.xml")])
    assert result.exit_code == 0, result.output
    root = ElementTree.parse(tmp_path / "junit.xml").getroot()
    names = [case.attrib["name"].rpartition(", ")[0] for case in root.iter("testcase")]
    assert sum(map(is_of_clip, names)) == 5
    assert root.attrib["failures"] == "0"
    nowhere = CliRunner().invoke(main, [*command, "--junit", str(tmp_path / "none" / "junit.xml")])
    assert nowhere.exit_code == 2
    assert "make it first" in nowhere.output
