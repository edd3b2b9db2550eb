"""A window's sound as the page plays it: a WAV file within the page, loud enough to be heard."""

from __future__ import annotations

import base64
import io
import wave
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aves_convert.sounds.clip import SAMPLE_RATE

_PEAK = 10 ** (-3 / 20)  # of full scale: 3 dB are left
_MOST_SECONDS = 60
_QUIET = 20.0  # dB: who turns the volume up for less hears what it is


@dataclass(frozen=True)
class Sound:
    """The sound as a data: URI, and in a sentence or two how it differs from the window's own."""

    address: str
    told: str


def sound_of(waveform: NDArray[np.float32], at: float) -> Sound | None:
    """Make a sound of a window [samples] at 16 kHz, of a long one a minute around ``at`` seconds; None for silence.

    The mean is taken out, which nobody hears and which leaves no room; the peak is 3 dB below full scale.
    """
    most = _MOST_SECONDS * SAMPLE_RATE
    first = min(max(0, int(at * SAMPLE_RATE) - most // 2), max(0, len(waveform) - most))
    heard = np.nan_to_num(waveform[first : first + most].astype(np.float64), posinf=0.0, neginf=0.0)
    heard -= heard.mean() if heard.size else 0.0
    peak = float(np.abs(heard).max(initial=0.0))
    if peak < np.finfo(np.float32).tiny:
        return None
    samples = np.rint(heard / peak * _PEAK * np.iinfo(np.int16).max).astype("<i2")
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    address = f"data:audio/wav;base64,{base64.b64encode(stream.getvalue()).decode()}"
    return Sound(address, " ".join(_told(peak, first, len(heard) < len(waveform))))


def _told(peak: float, first: int, cut: bool) -> list[str]:
    gain = 20 * float(np.log10(_PEAK / peak))
    told = [f"The window is very quiet: what you hear is {gain:.0f} dB louder."] if gain > _QUIET else []
    return told + ([f"Heard is a minute from {first / SAMPLE_RATE:.0f} s on."] if cut else [])
