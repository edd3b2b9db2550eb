"""Hours of sound in one file: never in memory as a whole, and a late window without what comes before it."""

from __future__ import annotations

import io
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from aves_verify.corpus import windows
from aves_verify.corpus.index import Recording, index_block
from aves_verify.corpus.listing import list_audio
from aves_verify.corpus.windows import Cutting, read_windows, stretches

HOURS = 3
BOUND = 128 << 20  # bytes; a stretch is 5 minutes, of which each value has 8 for a while


def long_wav(path: Path, rate: int, channels: int) -> Path:
    """Silence, of which the disk holds nothing, with a mark in the last second."""
    size = HOURS * 3600 * rate * channels * 2
    with path.open("wb") as file:
        fields = (b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
        file.write(struct.pack("<4sI4s4sIHHIIHH", *fields) + struct.pack("<4sI", b"data", size))
        file.seek(44 + size - rate * channels * 2)
        file.write(np.full(rate * channels, 8192, "<i2").tobytes())
        file.truncate(44 + size)
    return path


def long_flac(path: Path, rate: int) -> Path:
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
        for _ in range(HOURS * 60):
            file.write(np.zeros(60 * rate, np.int16))
        file.write(np.full(rate, 8192, np.int16))
    return path


class _Counted(io.FileIO):
    read_bytes = 0

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        _Counted.read_bytes += count
        return count


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wav", "flac"])
def test_hours_are_read_window_by_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = long_wav(tmp_path / "a.wav", 16_000, 1) if name == "wav" else long_flac(tmp_path / "a.flac", 16_000)
    tracemalloc.start()
    try:
        (recording,) = index_block(list_audio([str(path)]))
        parts = list(stretches(recording, Cutting()))
        monkeypatch.setattr(windows, "WHOLE", 1000)
        monkeypatch.setattr(windows, "open_at", lambda address: io.BufferedReader(_Counted(address)))
        _Counted.read_bytes = 0
        *_, last = read_windows(parts[-1], Cutting())
        assert _Counted.read_bytes < 16 << 20
        assert sum(1 for part in parts[:-1:12] for _ in read_windows(part, Cutting())) == 30 * 3
        assert tracemalloc.get_traced_memory()[1] < BOUND
    finally:
        tracemalloc.stop()
    assert len(parts) == HOURS * 12 + (name == "flac")
    assert last.clip.waveform[-1] == 0.25
    assert last.name == f"a.{name} @ {HOURS * 3600 - (10 if name == 'wav' else 0)} s"


def test_a_late_window_at_another_rate(tmp_path: Path) -> None:
    path = long_wav(tmp_path / "a.wav", 44_100, 2)
    frames = HOURS * 3600 * 44_100
    recording = Recording("a.wav", str(path), None, path.stat().st_size, "-", "WAV PCM_16", 44_100, 2, 0, frames)
    *_, last = stretches(recording, Cutting(10.0, 10.0, 3))
    tracemalloc.start()
    try:
        waveform = np.concatenate([each.clip.waveform for each in read_windows(last, Cutting(10.0, 10.0, 3))])
        assert tracemalloc.get_traced_memory()[1] < BOUND
    finally:
        tracemalloc.stop()
    assert len(waveform) == 30 * 16_000
    assert not waveform[: 28 * 16_000].any()
    assert waveform[-8_000] == pytest.approx(0.25, abs=1e-6)
