from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.support.corpora import KINDS, noise, record

from aves_artifacts.base.errors import InputError
from aves_convert.sounds.audio import SoundFile, read_clip, read_mono
from aves_verify.corpus import windows
from aves_verify.corpus.index import Recording, index_block
from aves_verify.corpus.listing import list_audio
from aves_verify.corpus.windows import (
    ChangedError,
    Cutting,
    Stretch,
    Unreadable,
    read_windows,
    samples_of,
    stretches,
    windows_of,
    windows_or_reasons,
)


def recording_of(path: Path) -> Recording:
    (recording,) = index_block(list_audio([str(path)]))
    return recording


def whole_of(path: Path) -> np.ndarray:
    with SoundFile(path) as file:
        return read_mono(file, str(path), range(recording_of(path).frames)).astype(np.float32)


def read(recording: Recording, cutting: Cutting) -> list[windows.Window]:
    return [window for stretch in stretches(recording, cutting) for window in read_windows(stretch, cutting)]


def reason_of_reading(stretch: Stretch, cutting: Cutting) -> str:
    try:
        list(read_windows(stretch, cutting))
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", KINDS)
def test_a_recording_of_one_window_is_what_read_clip_gives_bit_for_bit(tmp_path: Path, name: str) -> None:
    path = record(tmp_path / name, 2.3)
    recording = recording_of(path)
    assert not recording.reason
    (window,) = read(recording, Cutting())
    assert window.name == name
    assert window.start == 0
    assert window.clip.sha256 == read_clip(path).sha256
    assert window.clip.samples == samples_of(recording)


@pytest.mark.parametrize("name", KINDS)
def test_stretches_are_what_the_whole_is(tmp_path: Path, name: str) -> None:
    path = record(tmp_path / name, 18.37)
    recording, cutting = recording_of(path), Cutting(3.0, 3.0, 2)
    found = read(recording, cutting)
    joined = np.concatenate([window.clip.waveform for window in found])
    whole = whole_of(path)
    assert [window.clip.samples for window in found[:-1]] == [48_000] * 6
    assert [window.name for window in found[:2]] == [f"{name} @ 0 s", f"{name} @ 3 s"]
    assert len(joined) == len(whole)
    exact = recording.rate == 16_000 and not name.endswith(".mp3")
    # soxr's clock runs with a rounding error in a ratio like 44101 to 16000: a stretch is nearer to the truth.
    bound = 0.0 if exact else 2e-5 if recording.rate == 44_101 else 2**-23
    assert np.abs(joined - whole).max() <= bound


@pytest.mark.parametrize("damaged", [False, True])
def test_an_mp3_of_variable_rate_is_found_to_the_sample(tmp_path: Path, damaged: bool) -> None:
    path, samples = tmp_path / "a.mp3", noise(60, 44_100)
    with SoundFile(path, "w", 44_100, 1, format="MP3", bitrate_mode="VARIABLE", compression_level=0.3) as file:
        for start in range(0, len(samples), 44_100):
            file.write(samples[start : start + 44_100] * (start % 7))
    if damaged:
        content = path.read_bytes()
        path.write_bytes(b"junk" * 99 + content[: len(content) // 2] + bytes(777) + content[len(content) // 2 :])
    joined = np.concatenate([window.clip.waveform for window in read(recording_of(path), Cutting(5.0, 5.0, 1))])
    whole = read_clip(path).waveform
    assert len(joined) == len(whole)
    assert np.abs(joined - whole).max() <= 2**-22 * np.abs(whole).max()


@pytest.mark.parametrize("name", ["phone.mp3", "spoken.ogg", "forest.flac"])
def test_a_stretch_is_the_same_whoever_reads_it(tmp_path: Path, name: str) -> None:
    recording, cutting = recording_of(record(tmp_path / name, 9)), Cutting(1.0, 1.0, 2)
    parts = list(stretches(recording, cutting))
    forwards = [[window.clip.sha256 for window in read_windows(each, cutting)] for each in parts]
    backwards = [[window.clip.sha256 for window in read_windows(each, cutting)] for each in reversed(parts)]
    assert forwards == backwards[::-1]


def test_frames_are_sought_for_in_long_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in ranges, as what does not fit into memory is."""
    path = record(tmp_path / "forest.flac", 30)
    cutting = Cutting(2.0, 2.0, 3)
    in_memory = [window.clip.sha256 for window in read(recording_of(path), cutting)]
    monkeypatch.setattr(windows, "WHOLE", 1000)
    assert [window.clip.sha256 for window in read(recording_of(path), cutting)] == in_memory


@pytest.mark.parametrize(
    ("seconds", "window", "hop", "starts"),
    [
        (10.0, 10.0, 10.0, [0.0]),
        (10.0001, 10.0, 10.0, [0.0, 10.0]),
        (25.0, 10.0, 10.0, [0.0, 10.0, 20.0]),
        (10.0, 10.0, 5.0, [0.0]),  # a second one would hold nothing new
        (11.0, 10.0, 5.0, [0.0, 5.0]),
        (45.0, 10.0, 20.0, [0.0, 20.0, 40.0]),
        (15.0, 10.0, 20.0, [0.0]),
        (0.01, 10.0, 10.0, [0.0]),
    ],
)
def test_windows_overlap_or_leave_gaps(
    tmp_path: Path, seconds: float, window: float, hop: float, starts: list[float]
) -> None:
    recording, cutting = recording_of(record(tmp_path / "a.wav", seconds)), Cutting(window, hop)
    found = read(recording, cutting)
    assert [each.start / 16_000 for each in found] == starts
    assert windows_of(recording, cutting) == len(starts)
    samples = read_clip(tmp_path / "a.wav").waveform
    for each in found:
        assert np.array_equal(each.clip.waveform, samples[each.start : each.start + round(window * 16_000)])


def test_a_stretch_has_five_minutes_at_most_and_no_more_windows_than_a_shard() -> None:
    recording = Recording("a.wav", "/a.wav", None, 1, "0" * 64, "WAV PCM_16", 16_000, 1, 0, 16_000 * 86_400)
    assert [each.count for each in stretches(recording, Cutting())] == [30] * 288
    assert {each.count for each in stretches(recording, Cutting(shard_windows=7))} == {7, 8640 % 7}
    assert next(stretches(recording, Cutting(1.0, 60.0))).count == 5
    assert next(stretches(recording, Cutting(300.0, 300.0))).count == 1
    assert next(stretches(recording, Cutting(1.0, 1000.0))).count == 1


def test_what_travels_to_other_processes(tmp_path: Path) -> None:
    recording, cutting = recording_of(record(tmp_path / "a.wav", 25)), Cutting()
    (stretch,) = stretches(recording, cutting)
    again, cut_again = pickle.loads(pickle.dumps((stretch, cutting)))
    assert [each.clip.sha256 for each in read_windows(again, cut_again)] == [
        each.clip.sha256 for each in read_windows(stretch, cutting)
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window": 0.0}, r"a window of 0 seconds; give `window` from 0\.001 to 300"),
        ({"window": 301.0}, "a window of 301 seconds"),
        ({"window": float("nan")}, "a window of nan seconds"),
        ({"hop": -1.0}, "a window every -1 seconds; give `hop` from"),
        ({"hop": float("inf")}, "a window every inf seconds"),
        ({"shard_windows": 0}, "shards of 0 windows"),
    ],
)
def test_cuttings_that_are_none(values: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Cutting(**values)  # type: ignore[arg-type]


def test_bad_samples_are_told_with_their_place_and_spare_other_stretches(tmp_path: Path) -> None:
    samples = noise(20, 44_100)
    samples[44_100 * 15] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 44_100, subtype="FLOAT")
    recording, cutting = recording_of(tmp_path / "a.wav"), Cutting(2.0, 2.0, 2)
    parts = list(stretches(recording, cutting))
    assert len(list(read_windows(parts[0], cutting))) == 2
    with pytest.raises(InputError, match=r"a\.wav: 1 of \d+ samples are NaN, .* first at 15\.000 s \(nan\); repair"):
        list(read_windows(parts[3], cutting))


def test_damage_in_the_middle_spares_other_stretches(tmp_path: Path) -> None:
    path = record(tmp_path / "forest.flac", 30)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = bytes(20_000)
    path.write_bytes(content)
    recording, cutting = recording_of(path), Cutting(2.0, 2.0, 2)
    told = [reason_of_reading(stretch, cutting) for stretch in stretches(recording, cutting)]
    assert told[0] == told[-1] == ""
    assert any("forest.flac: damaged" in each for each in told)


def test_a_recording_that_changed_or_went_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(tmp_path / "a.wav", 2)
    recording, cutting = recording_of(path), Cutting()
    (stretch,) = stretches(recording, cutting)
    record(tmp_path / "a.wav", 2, seed=1)
    with pytest.raises(InputError, match=r"a\.wav: changed since it was indexed; run again"):
        list(read_windows(stretch, cutting))
    record(tmp_path / "a.wav", 3, seed=1)
    monkeypatch.setattr(windows, "WHOLE", 1000)
    with pytest.raises(InputError, match=r"a\.wav: changed since it was indexed; run again"):
        list(read_windows(stretch, cutting))
    os.remove(path)
    with pytest.raises(InputError, match=r"a\.wav: cannot be read: No such file"):
        list(read_windows(stretch, cutting))


def test_what_cannot_be_read_is_a_stretch_of_none(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("no sound")
    recording, cutting = recording_of(tmp_path / "a.wav"), Cutting()
    assert list(stretches(recording, cutting)) == [Stretch(recording, 0, 0)]
    with pytest.raises(InputError, match=r"a\.wav: damaged, or not audio"):
        list(read_windows(Stretch(recording, 0, 0), cutting))


def test_real_recordings(shared_audio: Path) -> None:
    for path in sorted(shared_audio.glob("*.flac"))[:4]:
        recording = recording_of(path)
        (window,) = read(recording, Cutting(300.0, 300.0))
        assert window.clip.sha256 == read_clip(path).sha256


def test_of_several_windows_those_that_can_be_read_are(tmp_path: Path) -> None:
    sound = np.full(5 * 16_000, 0.25, np.float32)
    sound[20_000] = np.nan
    soundfile.write(tmp_path / "a.wav", sound, 16_000, "FLOAT")
    cutting = Cutting(1.0, 1.0)
    (recording,) = index_block(list_audio([str(tmp_path / "a.wav")]))
    (stretch,) = stretches(recording, cutting)
    found = list(windows_or_reasons(stretch, cutting))
    assert [each.start for each in found] == [0, 16_000, 32_000, 48_000, 64_000]
    assert [isinstance(each, Unreadable) for each in found] == [False, True, False, False, False]
    assert isinstance(found[1], Unreadable)
    assert "NaN" in found[1].reason


def test_what_is_another_by_now_is_not_the_recordings_fault(tmp_path: Path) -> None:
    """A part that says so would stand for the recording that was indexed."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full(16_000, 0.25, np.float32), 16_000)
    (recording,) = index_block(list_audio([str(path)]))
    (stretch,) = stretches(recording, Cutting())
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(ChangedError, match="changed since it was indexed"):
        list(windows_or_reasons(stretch, Cutting()))
