"""The audio of a search: what is searched on, what is held out, and what is told."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.support.tiny_encoders import TINY

from aves_artifacts.base.errors import InputError
from aves_convert.reduction.calibration import LONGEST, MOST, Calibration, calibration
from aves_convert.sounds.clip import SAMPLE_RATE
from aves_convert.sounds.signals import ORDINARY


def recording(path: Path, seconds: float, seed: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(seed).integers(-16_000, 16_000, round(seconds * SAMPLE_RATE), np.int16)
    soundfile.write(path, noise, SAMPLE_RATE, subtype="PCM_16")
    return path


def hashes(clips: Calibration) -> tuple[list[str], list[str]]:
    return [clip.sha256 for clip in clips.searched_on], [clip.sha256 for clip in clips.held_out]


def test_without_recordings_it_is_the_ordinary_signals() -> None:
    clips = calibration((), TINY)
    assert {clip.name for clip in clips.clips} == set(ORDINARY)
    assert len(clips.searched_on) == len(clips.held_out) == 3
    assert clips.remarks == ()


def test_recordings_are_divided_by_what_is_in_them(tmp_path: Path) -> None:
    for number in range(5):
        recording(tmp_path / "a" / f"{number}.wav", 0.5, number)
        recording(tmp_path / "b" / f"{4 - number}.flac", 0.5, number)
    one, other = (calibration([tmp_path / each], TINY) for each in "ab")
    assert hashes(one) == hashes(other)
    assert (len(one.searched_on), len(one.held_out)) == (3, 2)
    assert not {clip.sha256 for clip in one.searched_on} & {clip.sha256 for clip in one.held_out}
    files = sorted((tmp_path / "a").iterdir(), reverse=True)
    assert hashes(calibration(files, TINY)) == hashes(one)


def test_the_same_audio_twice_is_no_audio_that_was_held_out(tmp_path: Path) -> None:
    first = recording(tmp_path / "a.wav", 0.5, 1)
    shutil.copy(first, tmp_path / "b.wav")
    recording(tmp_path / "c.wav", 0.5, 2)
    clips = calibration([tmp_path], TINY)
    assert len(clips.clips) == 2
    (told,) = clips.remarks
    assert "b.wav: the same audio as" in told


def test_the_second_half_of_a_single_recording_is_held_out(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.wav", 4, 1)
    clips = calibration([path], TINY)
    (first,), (second,) = clips.searched_on, clips.held_out
    assert (first.name, second.name) == ("a.wav, first half", "a.wav, second half")
    whole = np.concatenate([first.waveform, second.waveform])
    assert np.array_equal(whole, soundfile.read(path, dtype="float32")[0])


def test_of_long_recordings_the_middle_is_taken_and_of_many_some(tmp_path: Path) -> None:
    for number in range(9):
        recording(tmp_path / f"{number}.wav", 12, number)
    clips = calibration([tmp_path], TINY)
    assert {clip.samples for clip in clips.clips} == {LONGEST}
    for side in (clips.searched_on, clips.held_out):
        assert sum(clip.samples for clip in side) <= MOST
        assert len(side) == 3
    assert sum("of its 12.0 s the middle 10 are taken" in line for line in clips.remarks) == 6
    assert sum("left out, as 30 s are enough" in line for line in clips.remarks) == 3
    whole = {path.name: soundfile.read(path, dtype="float32")[0] for path in tmp_path.iterdir()}
    assert all(np.array_equal(clip.waveform, whole[clip.name][SAMPLE_RATE:-SAMPLE_RATE]) for clip in clips.clips)


def test_files_of_one_name_keep_apart(tmp_path: Path) -> None:
    for number in range(4):
        recording(tmp_path / str(number) / "a.wav", 0.5, number)
    names = [clip.name for clip in calibration([tmp_path], TINY).clips]
    assert names == ["a.wav", "a.wav (2)", "a.wav (3)", "a.wav (4)"]


def test_what_cannot_be_used_is_told_and_does_not_lose_the_others(tmp_path: Path) -> None:
    for number in range(2):
        recording(tmp_path / f"{number}.wav", 0.5, number)
    recording(tmp_path / "short.wav", 0.001, 7)
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    clips = calibration([tmp_path], TINY)
    assert len(clips.clips) == 2
    assert any("bad.wav: damaged" in line for line in clips.remarks)
    assert any("short.wav: 16 samples" in line for line in clips.remarks)


@pytest.mark.parametrize("seconds", [0.001, 0.005])
def test_nothing_to_hold_out_is_refused(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(InputError, match="too short"):
        calibration([recording(tmp_path / "a.wav", seconds, 1)], TINY)
