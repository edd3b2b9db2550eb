import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from aves_artifacts.base.errors import InputError
from aves_convert.sounds import audio
from aves_convert.sounds.audio import find_audio, read_clip, read_clips


def tone(rate: int, *, frequency: float = 1000.0, seconds: float = 0.5, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)


def write(path: Path, data: np.ndarray, rate: int = 16_000, subtype: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, data, rate, subtype=subtype)
    return path


def frequency_and_level(waveform: np.ndarray) -> tuple[float, float]:
    """The strongest frequency in hertz and the amplitude of that tone, from the middle of a clip."""
    middle = waveform[len(waveform) // 4 : -len(waveform) // 4].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 8 * len(middle)))
    return float(spectrum.argmax() * 16_000 / (8 * len(middle))), float(np.sqrt(2 * np.mean(middle**2)))


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_and_channel_count_keeps_frequency_level_and_length(tmp_path: Path, rate: int, channels: int) -> None:
    path = write(tmp_path / "tone.wav", np.tile(tone(rate)[:, None], (1, channels)), rate, subtype="FLOAT")
    clip = read_clip(path)
    frequency, level = frequency_and_level(clip.waveform)
    assert frequency == pytest.approx(1000, abs=1)
    assert level == pytest.approx(0.5, abs=1e-4)
    assert clip.duration == pytest.approx(0.5, abs=1e-3)
    assert clip.source == str(path)


@pytest.mark.parametrize(
    ("name", "subtype", "error"),
    [
        ("a.wav", "PCM_U8", 1 / 127),
        ("a.wav", "PCM_16", 1 / 32767),
        ("a.wav", "PCM_24", 1 / 8388607),
        ("a.wav", "PCM_32", 1e-7),
        ("a.wav", "FLOAT", 1e-7),
        ("a.wav", "DOUBLE", 1e-7),
        ("a.flac", "PCM_16", 1 / 32767),
        ("a.flac", "PCM_24", 1 / 8388607),
    ],
)
def test_integer_and_float_formats_give_the_same_samples(tmp_path: Path, name: str, subtype: str, error: float) -> None:
    clip = read_clip(write(tmp_path / name, tone(16_000), subtype=subtype))
    assert np.abs(clip.waveform - tone(16_000)).max() <= error


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg"])
def test_lossy_formats_are_read(tmp_path: Path, name: str) -> None:
    clip = read_clip(write(tmp_path / name, tone(44_100, seconds=1.0), 44_100))
    frequency, level = frequency_and_level(clip.waveform)
    assert frequency == pytest.approx(1000, abs=2)
    assert level == pytest.approx(0.5, abs=0.02)


def test_channels_are_averaged_in_float64(tmp_path: Path) -> None:
    left, right = np.array([1.0, 1e-9, 0.5]), np.array([-1.0 + 1e-9, 0.0, 0.25])
    clip = read_clip(write(tmp_path / "two.wav", np.stack([left, right], axis=1), subtype="DOUBLE"))
    assert np.array_equal(clip.waveform, ((left + right) / 2).astype(np.float32))


def test_values_beyond_full_scale_stay_in_float_files(tmp_path: Path) -> None:
    assert read_clip(write(tmp_path / "loud.wav", 4 * tone(16_000), subtype="FLOAT")).waveform.max() > 1.9


def test_resampling_lets_nothing_fold_back(tmp_path: Path) -> None:
    clip = read_clip(write(tmp_path / "bat.wav", tone(96_000, frequency=30_000), 96_000, subtype="DOUBLE"))
    assert np.abs(clip.waveform[800:-800]).max() < 1e-6


def test_reading_twice_gives_the_same_bits(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(44_100), 44_100)
    assert read_clip(path).sha256 == read_clip(path).sha256


def test_long_files_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.stack([tone(16_000), 0.5 * tone(16_000)], axis=1)
    path = write(tmp_path / "a.wav", data, subtype="DOUBLE")
    whole = read_clip(path)
    monkeypatch.setattr(audio, "_BLOCK", 123)
    assert read_clip(path).sha256 == whole.sha256


def test_a_clip_is_named_by_its_path_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "frogs" / "pond.wav", tone(16_000))
    assert read_clip(path).name == path.as_posix()
    monkeypatch.chdir(tmp_path)
    assert read_clip(path).name == read_clip(Path("frogs/pond.wav")).name == "frogs/pond.wav"


def test_folders_are_searched_and_hidden_files_left_out(tmp_path: Path) -> None:
    names = ["b.WAV", "a.flac", "sub/deep/c.Ogg", "sub/d.mp3", "._b.wav", ".cache/e.wav", "notes.txt", "x.wave"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_audio([tmp_path])]
    assert found == ["a.flac", "b.WAV", "sub/d.mp3", "sub/deep/c.Ogg"]


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    for name in ("disk/x.wav", "given/a.wav"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "given" / "linked").symlink_to(tmp_path / "disk")
    assert find_audio([tmp_path / "given"]) == [tmp_path / "given" / "a.wav", tmp_path / "given" / "linked" / "x.wav"]
    assert len(find_audio([tmp_path / "given", tmp_path / "disk"])) == 2


def test_files_stand_as_given_and_none_comes_twice(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav", ".hidden", "noise"):
        (tmp_path / name).touch()
    given = [tmp_path / "noise", tmp_path / ".hidden", tmp_path / "b.wav", tmp_path]
    assert find_audio(given) == [*given[:3], tmp_path / "a.wav"]


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone: no such file or folder"):
        find_audio([tmp_path / "gone"])
    with pytest.raises(InputError, match=r"gone\.wav: no such file"):
        read_clip(tmp_path / "gone.wav")


def test_a_folder_without_audio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"no audio in this folder; expected files that end in \.wav"):
        find_audio([tmp_path])


def test_what_the_system_does_not_open_is_refused(tmp_path: Path) -> None:
    loop = tmp_path / "loop.wav"
    loop.symlink_to(loop)
    for read in (find_audio, lambda paths: read_clip(paths[0])):
        with pytest.raises(InputError, match=r"loop\.wav: (cannot be read|no such file)"):
            read([loop])
    write(tmp_path / "tone.wav", tone(16_000))
    clips, unreadable = read_clips([tmp_path])
    assert len(clips) == len(unreadable) == 1


def test_an_unreadable_file_or_folder_is_refused(tmp_path: Path) -> None:
    """Permissions bind everybody but the administrator, so where the tests run as that, they step down."""
    path = write(tmp_path / "locked" / "a.wav", tone(16_000))
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(InputError, match=r"a\.wav: cannot be read: Permission denied"):
            read_clip(path)
        os.seteuid(user)
        path.parent.chmod(0)
        if user == 0:
            os.seteuid(65534)
        with pytest.raises(InputError, match=r"locked: cannot be read: Permission denied"):
            find_audio([path.parent])
    finally:
        os.seteuid(user)
        path.parent.chmod(0o700)


def test_folders_and_pipes_are_not_clips(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path, tmp_path / "pipe.wav"):
        with pytest.raises(InputError, match=r"not a file"):
            read_clip(path)


@pytest.mark.parametrize("name", ["page.wav", "page.mp3", "page.raw", "page.ogg", "page"])
def test_what_is_not_audio_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("<html>404 not found</html>\n" * 50)
    with pytest.raises(InputError, match=rf"{name}: damaged, or not audio \(libsndfile: .+\); expected WAV") as caught:
        read_clip(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_an_empty_file_and_one_without_samples_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    with pytest.raises(InputError, match=r"empty\.wav: the file is empty"):
        read_clip(tmp_path / "empty.wav")
    for rate in (16_000, 44_100):
        with pytest.raises(InputError, match=r"none\.wav: holds no samples"):
            read_clip(write(tmp_path / "none.wav", np.zeros(0), rate))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, -1e31])
def test_values_that_are_no_sound_are_refused_and_located(tmp_path: Path, value: float) -> None:
    data = tone(44_100)
    data[4410] = value
    with pytest.raises(InputError, match=r"bad\.wav: 1 of 22050 samples are NaN, .* first at 0\.100 s"):
        read_clip(write(tmp_path / "bad.wav", data, 44_100, subtype="DOUBLE"))


def test_an_absurd_length_is_refused_and_the_longest_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "MAX_SECONDS", 2)
    assert read_clip(write(tmp_path / "long.wav", np.zeros(32_000))).duration == 2
    with pytest.raises(InputError, match=r"long\.wav: longer than 2 s; cut the recording"):
        read_clip(write(tmp_path / "long.wav", np.zeros(32_001)))


@pytest.mark.parametrize("rate", [999, 1_000_001])
def test_an_absurd_rate_is_refused(tmp_path: Path, rate: int) -> None:
    with pytest.raises(InputError, match=rf"a sample rate of {rate} Hz; expected 1000 to 1000000 Hz"):
        read_clip(write(tmp_path / "rate.wav", np.zeros(100), rate))


def test_a_header_that_promises_more_than_the_file_holds_does_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.wav", tone(16_000), subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[40:44] = struct.pack("<I", 2**31 - 64)  # the length of the data chunk
    path.write_bytes(content)
    assert read_clip(path).duration == 0.5


def test_a_length_that_no_header_tells_does_no_harm(tmp_path: Path) -> None:
    """An encoder that writes into a pipe cannot go back to tell it."""
    path = write(tmp_path / "pipe.flac", tone(16_000))
    whole = read_clip(path)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the last 36 bits of what begins at byte 18
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert read_clip(path).sha256 == whole.sha256


def test_a_cut_off_wav_is_read_as_far_as_it_goes_and_a_flac_refused(tmp_path: Path) -> None:
    for name in ("cut.wav", "cut.flac"):
        path = write(tmp_path / name, tone(16_000, seconds=2.0))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 0.9 < read_clip(tmp_path / "cut.wav").duration < 1.0
    with pytest.raises(InputError, match=r"cut\.flac: damaged, or not audio"):
        read_clip(tmp_path / "cut.flac")


def test_one_bad_file_does_not_lose_the_others(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", tone(16_000))
    (tmp_path / "b.wav").write_text("not audio")
    write(tmp_path / "c.wav", tone(16_000))
    clips, unreadable = read_clips([tmp_path])
    assert [Path(clip.name).name for clip in clips] == ["a.wav", "c.wav"]
    assert len(unreadable) == 1
    assert "b.wav: damaged, or not audio" in unreadable[0]


def test_nothing_readable_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("not audio")
    with pytest.raises(InputError, match=r"a\.wav: damaged, or not audio.*OGG or MP3$"):
        read_clips([tmp_path])
    (tmp_path / "b.wav").touch()
    with pytest.raises(InputError, match=r"a\.wav: damaged, or not audio.*\(and 1 more files"):
        read_clips([tmp_path])


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000, 655_350])
def test_resampling_in_blocks_gives_the_same_bits(rate: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "_BLOCK", 7919)
    samples = np.random.default_rng(0).uniform(-1, 1, 2 * rate + 17)
    soundfile.write(tmp_path / "x.wav", samples, rate, subtype="DOUBLE")
    whole = soxr.resample(samples, rate, 16_000, quality="VHQ").astype(np.float32)
    assert np.array_equal(read_clip(tmp_path / "x.wav").waveform, whole)


def test_a_small_file_of_a_great_many_samples_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    with soundfile.SoundFile(path, "w", 655_350, 1, subtype="PCM_16") as file:
        for _ in range(40):
            file.write(np.zeros(500_000))
    tracemalloc.start()
    try:
        assert read_clip(path).duration == pytest.approx(20e6 / 655_350, abs=1e-3)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20  # 20 million samples are 160 MB
    finally:
        tracemalloc.stop()


def test_a_decoder_that_warns_of_each_tag_is_not_heard(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.mp3").write_bytes(b"ID3\x03\0\0\0\0\0\0" * 1000)
    with pytest.raises(InputError):
        read_clip(tmp_path / "x.mp3")
    assert capfd.readouterr().err == ""


@pytest.mark.filterwarnings("error")
def test_channels_that_overflow_when_they_are_added(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.full((16, 2), 1e308), 16_000, subtype="DOUBLE")
    with pytest.raises(InputError, match=r"16 of 16 samples are NaN, infinite or absurdly large, first at 0\.000 s"):
        read_clip(tmp_path / "x.wav")


def test_a_recording_that_is_another_when_it_is_read_again(tmp_path: Path) -> None:
    (stored,), _ = read_clips([write(tmp_path / "x.wav", tone(16_000))])
    write(tmp_path / "x.wav", tone(16_000, frequency=500.0))
    with pytest.raises(InputError, match=r"x\.wav: changed while it was in use; run again"):
        _ = stored.waveform
