"""A window's sound in the page is a WAV file that is loud enough, and cut where it is long."""

import base64
import io
import wave

import numpy as np
import pytest
from numpy.typing import NDArray

from aves_convert.sounds.clip import SAMPLE_RATE
from aves_verify.report.of_corpus.sound import Sound, sound_of

PEAK = 32767 * 10 ** (-3 / 20)


def tone(seconds: float, peak: float = 0.5, offset: float = 0.0) -> NDArray[np.float32]:
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (offset + peak * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)


def played(sound: Sound | None) -> NDArray[np.int16]:
    assert sound is not None
    kind, _, content = sound.address.partition(",")
    assert kind == "data:audio/wav;base64"
    with wave.open(io.BytesIO(base64.b64decode(content))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLE_RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


@pytest.mark.parametrize(("peak", "offset", "told"), [(0.5, 0.0, ""), (1.9, 0.0, ""), (1e-4, 0.2, "77 dB louder")])
def test_the_peak_is_3_db_below_full_scale(peak: float, offset: float, told: str) -> None:
    sound = sound_of(tone(1, peak, offset), 0)
    samples = played(sound)
    assert len(samples) == SAMPLE_RATE
    assert np.abs(samples.astype(int)).max() == pytest.approx(PEAK, rel=1e-3)
    assert abs(samples.mean()) < 20
    assert sound is not None
    assert told in sound.told
    assert bool(sound.told) == bool(told)


@pytest.mark.parametrize(("at", "first"), [(0, 0), (50, 20), (89, 30)])
def test_of_a_long_window_a_minute_is_kept_around_the_worst(at: float, first: int) -> None:
    waveform = np.zeros(90 * SAMPLE_RATE, np.float32)
    waveform[int(at * SAMPLE_RATE)] = 1.0
    sound = sound_of(waveform, at)
    samples = played(sound)
    assert len(samples) == 60 * SAMPLE_RATE
    assert np.argmax(samples) == (at - first) * SAMPLE_RATE
    assert sound is not None
    assert f"a minute from {first} s on" in sound.told


@pytest.mark.parametrize("waveform", [np.zeros(0), np.zeros(100), np.full(100, 0.25), np.full(9, np.nan)])
def test_silence_has_no_sound(waveform: NDArray[np.float64]) -> None:
    assert sound_of(waveform.astype(np.float32), 0) is None


def test_what_is_no_number_is_silent() -> None:
    waveform = tone(0.1)
    waveform[[3, 5]] = np.nan, np.inf
    assert np.abs(played(sound_of(waveform, 0)).astype(int)).max() == pytest.approx(PEAK, rel=1e-3)
