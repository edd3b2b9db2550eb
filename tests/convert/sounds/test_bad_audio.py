"""What people have on their disks, given to the command: each file is named, and the others are compared."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from tests.support.bundles import NAME
from tests.support.comparisons import is_of_clip

from aves_artifacts.bundle.bundle import Bundle
from aves_verify.cli import main

pytestmark = pytest.mark.slow

TONE = 0.3 * np.sin(np.arange(1600) / 5)


def verify(tiny_bundle: Bundle, *options: object) -> Result:
    command = ["--bundle", str(tiny_bundle.folder), "--backends", "torchaudio,onnx", *options]
    return CliRunner().invoke(main, [str(part) for part in command])


def compared(report: Path) -> set[str]:
    (config,) = json.loads(report.read_text())["configs"]
    return {Path(c["clip"]).name for c in config["comparisons"] if is_of_clip(c["clip"])}


def wav(data: Any, rate: int = 16_000, subtype: str = "PCM_16") -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, data, rate, subtype=subtype, format="WAV")


GOOD = {
    "slow.wav": wav(TONE, 8_000),
    "fast.wav": wav(np.tile(TONE, 12), 192_000),
    "stereo.wav": wav(np.stack([TONE, 0.5 * TONE], axis=1)),
    "surround.wav": wav(np.tile(TONE[:, None], (1, 6))),
    "double.wav": wav(TONE, subtype="DOUBLE"),
    "integers_24.wav": wav(TONE, subtype="PCM_24"),
    "bytes.wav": wav(TONE, subtype="PCM_U8"),
    "loud.wav": wav(8 * TONE, subtype="FLOAT"),
    "nothing_but_zeros.wav": wav(np.zeros(1600)),
    "one_frame.wav": wav(TONE[:400]),
}


def test_all_that_can_be_converted_is_compared(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    for name, make in GOOD.items():
        make(tmp_path / "audio" / name)
    result = verify(tiny_bundle, "--audio", tmp_path / "audio", "--json", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    assert set(GOOD) < compared(tmp_path / "r.json")


def poisoned(value: float) -> Any:
    data = TONE.copy()
    data[160] = value
    return data


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "nan.wav": (wav(poisoned(np.nan), subtype="FLOAT"), "1 of 1600 samples are NaN, .* first at 0.010 s"),
    "inf.wav": (wav(poisoned(np.inf), subtype="DOUBLE"), "1 of 1600 samples are NaN, infinite"),
    "empty.wav": (Path.touch, "the file is empty"),
    "no_samples.wav": (wav(np.zeros(0)), "holds no samples"),
    "blip.wav": (wav(TONE[:399]), r"399 samples at 16 kHz are too short for the model, .* 400 \(25 ms\)"),
    "fast_blip.wav": (wav(TONE[:700], 48_000), r"\d+ samples at 16 kHz are too short"),
    "page.wav": (lambda path: path.write_text("<html>not found</html>"), "damaged, or not audio"),
    "really_a_picture.mp3": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" * 99), "damaged, or not audio"),
    "torn.flac": (lambda path: path.write_bytes(b"fLaC\0\0\0"), "damaged, or not audio"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_file_is_named_and_the_others_are_compared(name: str, tiny_bundle: Bundle, tmp_path: Path) -> None:
    make, message = BAD[name]
    folder = tmp_path / "audio"
    folder.mkdir()
    make(folder / name)
    wav(TONE)(folder / "good.wav")
    result = verify(tiny_bundle, "--audio", folder, "--report", tmp_path / "r")
    assert result.exit_code == 1, result.output
    (config,) = json.loads((tmp_path / "r" / "report.json").read_text())["configs"]
    (problem,) = config["problems"]
    assert re.match(f"{re.escape(str(folder / name))}: {message}", problem)
    assert f"{NAME}: {problem}" in result.output.splitlines()
    assert compared(tmp_path / "r" / "report.json") == {"good.wav", "good.wav, zero-padded", "batch of 3"}
    failures = ElementTree.parse(tmp_path / "r" / "junit.xml").getroot().findall(".//failure")
    assert [failure.text for failure in failures] == [problem]
    assert name in (tmp_path / "r" / "report.md").read_text()


def test_one_bad_file_of_a_hundred_does_not_lose_the_other_ninety_nine(tiny_bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "audio"
    folder.mkdir()
    for i in range(99):
        wav(TONE[: 500 + i])(folder / f"{i:02}.wav")
    (folder / "50b.wav").write_text("not audio")
    result = verify(tiny_bundle, "--audio", folder, "--json", tmp_path / "r.json")
    assert result.exit_code == 1, result.output
    assert {f"{i:02}.wav" for i in range(99)} < compared(tmp_path / "r.json")
    named = [line for line in result.output.splitlines() if "50b.wav" in line]
    assert len(named) == 1
    assert f"FAILED: {NAME} (" in result.output


def test_a_folder_of_bad_files_names_every_one(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """Alone they are bad input; beside one good file each is told."""
    folder = tmp_path / "audio"
    folder.mkdir()
    unreadable = {name: make for name, (make, _) in BAD.items() if "blip" not in name}
    for name, make in unreadable.items():
        make(folder / name)
    result = verify(tiny_bundle, "--audio", folder)
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1
    assert f"(and {len(unreadable) - 1} more files that cannot be read" in result.output
    wav(TONE)(folder / "good.wav")
    result = verify(tiny_bundle, "--audio", folder)
    assert result.exit_code == 1
    for name in unreadable:
        assert len([line for line in result.output.splitlines() if name in line and "good.wav" not in line]) == 1


def test_clips_that_are_all_too_short_are_nothing_compared(tiny_bundle: Bundle, tmp_path: Path) -> None:
    wav(TONE[:399])(tmp_path / "blip.wav")
    result = verify(tiny_bundle, "--audio", tmp_path / "blip.wav", "--report", tmp_path / "r")
    assert result.exit_code == 1
    assert "blip.wav: 399 samples" in result.output
    assert "nothing was compared" in result.output
