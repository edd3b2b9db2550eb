"""Making the parts of synthesised sounds: voices, envelopes and noise, bit for bit the same on every machine.

Noise comes from an integer generator written out here, sums run in a fixed order, and ``on_grid`` ends a signal on the
16-bit grid of a recording, so that a last-bit difference between two mathematics libraries disappears in the rounding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aves_convert.sounds.clip import SAMPLE_RATE

Signal = NDArray[np.float64]


def on_grid(signal: Signal) -> NDArray[np.float32]:
    """Round to 16 bits, as a recorder does; full scale is 32767/32768."""
    steps = np.clip(np.rint(signal * 32768.0), -32768, 32767)
    return (steps / 32768.0).astype(np.float32)


def sample_times(seconds: float) -> Signal:
    """The time of each sample, in seconds."""
    return np.arange(round(seconds * SAMPLE_RATE), dtype=np.float64) / SAMPLE_RATE


def nothing(seconds: float) -> Signal:
    """Silence of this length, to add sounds to."""
    return np.zeros(round(seconds * SAMPLE_RATE))


def ramp(seconds: float) -> Signal:
    """A line from 0 to just under 1."""
    return sample_times(seconds) / seconds


def sine(cycles: Signal) -> Signal:
    """Sine of a phase in cycles, whole cycles taken off first: small arguments keep libraries within a bit."""
    return np.sin(2 * np.pi * (cycles - np.floor(cycles)))


def voice(frequency: Signal, harmonics: tuple[float, ...]) -> Signal:
    """A tone that follows ``frequency`` (Hz, one value per sample), with harmonics of the given amplitudes."""
    cycles = np.cumsum(frequency) / SAMPLE_RATE
    tone = np.zeros(len(frequency))
    for number, amplitude in enumerate(harmonics, start=1):
        audible = frequency * number < 0.475 * SAMPLE_RATE  # nothing may fold back at the Nyquist frequency
        tone += amplitude * audible * sine(number * cycles)
    return tone


def hann(seconds: float) -> Signal:
    """A smooth rise and fall."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * ramp(seconds))


def pulse(seconds: float, *, attack: float, decay: float) -> Signal:
    """A linear rise in ``attack`` seconds, then an exponential fall of time constant ``decay``, faded out."""
    time = sample_times(seconds)
    fall = np.exp(-np.maximum(time - attack, 0.0) / decay)
    return np.minimum(time / attack, 1.0) * fall * np.minimum((seconds - time) / (0.1 * seconds), 1.0)


def white(samples: int, *, stream: int) -> Signal:
    """White noise from -1 to 1: SplitMix64 (Steele, Lea and Flood 2014) on the numbers of the samples.

    A counter through an integer hash needs no state, and unlike numpy's generators it can never change.
    """
    bits = np.arange(1, samples + 1, dtype=np.uint64) + np.uint64(stream * 2**32)
    bits = bits * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits = bits ^ (bits >> np.uint64(31))
    return (bits >> np.uint64(11)).astype(np.float64) / 2.0**52 - 1.0


def pink(samples: int, *, stream: int) -> Signal:
    """Noise that falls by about 3 dB an octave: ten white noises, each held twice as long as the one before (Voss)."""
    number = np.arange(samples)
    noise = np.zeros(samples)
    for octave in range(10):
        noise += white(samples // 2**octave + 1, stream=1000 * stream + octave)[number >> octave]
    return noise / 3.0


def add(scene: Signal, start: float, sound: Signal, gain: float) -> None:
    """Mix ``sound`` into ``scene`` from ``start`` seconds on; what lies past its end is cut."""
    first = round(start * SAMPLE_RATE)
    part = scene[first : first + len(sound)]
    part += gain * sound[: len(part)]
