"""Reference signals: synthesised animal sounds and hard cases, bit for bit the same on every machine.

What makes them the same everywhere is told where their parts are made, in ``synthesis``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from aves_convert.sounds.clip import SAMPLE_RATE, Clip
from aves_convert.sounds.synthesis import (
    Signal,
    add,
    hann,
    nothing,
    on_grid,
    pink,
    pulse,
    ramp,
    sample_times,
    sine,
    voice,
    white,
)


@lru_cache(maxsize=8)
def reference_signals(*, receptive_field: int = 400, hop: int = 320) -> tuple[Clip, ...]:
    """Make all reference signals: about 39 s of audio in 16 clips, the ordinary ones first.

    ``receptive_field`` and ``hop`` are the encoder's, in samples: three of the hard cases lie on its frame boundaries.
    """
    signals: dict[str, Signal] = {name: synthesise() for name, synthesise in ORDINARY.items()}
    signals |= _hard_cases(signals)
    signals |= _frame_boundaries(signals, receptive_field, hop)
    signals["twenty_seconds"] = twenty_seconds()
    clips = {name: Clip(name, on_grid(signal), "synthesised") for name, signal in signals.items()}
    # 80 dB down, after rounding: the product of two float32 numbers is the same everywhere.
    clips["very_quiet"] = Clip("very_quiet", clips["chirp"].waveform * np.float32(1e-4), "synthesised")
    # Files of floats may go beyond full scale, and their samples lie on no grid: a port must not clip or round them.
    clips["beyond_full_scale"] = Clip("beyond_full_scale", clips["bark"].waveform * np.float32(6.7), "synthesised")
    order = (*ORDINARY, "silence", "impulse", "dc_offset", "very_quiet", "beyond_full_scale", "clipped")
    return tuple(clips[name] for name in (*order, "shortest", "odd_frames", "even_frames", "twenty_seconds"))


def chirp() -> Signal:
    """A songbird's phrase, 1.6 s: five whistled syllables of 90 to 220 ms that sweep between 2 and 6 kHz.

    Oscine song lies mostly at 2 to 8 kHz, in syllables of 50 to 250 ms with short gaps; a whistle has a strong
    fundamental and a weak second harmonic. The fourth syllable is a trill: 30 Hz frequency modulation.
    """
    song = nothing(1.6)
    sweeps = ((0.05, 0.22, 2200, 4800), (0.34, 0.16, 5600, 3000), (0.56, 0.16, 5600, 3000), (1.36, 0.18, 6000, 2400))
    for start, length, low, high in sweeps:
        glide = low + (high - low) * ramp(length)
        add(song, start, voice(glide, (1.0, 0.12)) * hann(length), 0.7)
    trill = 3800 + 700 * sine(30 * sample_times(0.5))
    add(song, 0.8, voice(trill, (1.0, 0.12)) * hann(0.5), 0.6)
    return song


def frog() -> Signal:
    """A grey treefrog's trill, 1.5 s: a train of 25 ms pulses, 24 per second, on carriers of 1.1 and 2.2 kHz.

    Hyla versicolor calls with 18 to 25 pulses a second; the upper carrier, at twice the lower, is the louder one.
    """
    call = nothing(1.5)
    carrier = voice(np.full(len(sample_times(0.025)), 1100.0), (0.5, 1.0))
    for number in range(28):
        loudness = min(1.0, 0.35 + 0.09 * number)  # the trill swells over its first pulses
        add(call, 0.1 + number / 24, carrier * pulse(0.025, attack=0.012, decay=0.006), 0.6 * loudness)
    return call


def crickets() -> Signal:
    """Two field crickets, 1.5 s: chirps of four 22 ms syllables at 27 per second, on carriers of 4.7 and 5.1 kHz.

    Gryllus sings an almost pure tone near 4.8 kHz, in chirps of 3 to 5 syllables, 2 to 4 chirps a second.
    """
    song = nothing(1.5)
    for carrier, first, interval, gain in ((4700.0, 0.06, 0.38, 0.55), (5100.0, 0.21, 0.45, 0.2)):
        syllable = voice(np.full(len(sample_times(0.022)), carrier), (1.0, 0.03)) * hann(0.022)
        for chirp_number in range(4):
            for number in range(4):
                start = first + chirp_number * interval + number / 27
                if start + 0.022 < 1.5:
                    add(song, start, syllable, gain * (0.6 + 0.13 * number))
    return song


def whale() -> Signal:
    """A humpback's moan, 2.5 s: 150 Hz rising to 380 Hz and falling to 260 Hz, six harmonics, slow swell.

    Baleen whales' tonal moans last 1 to 4 s with fundamentals of some tens to some hundreds of hertz.
    """
    up, down = ramp(1.5), ramp(0.8)
    glide = np.concatenate([150 + 230 * up * up * (3 - 2 * up), 380 - 120 * down])
    moan = voice(glide, (1.0, 0.5, 0.28, 0.16, 0.08, 0.04)) * hann(2.3)
    song = nothing(2.5)
    add(song, 0.1, moan, 0.55)
    return song


def bark() -> Signal:
    """A dog's two barks, 1 s: 14 harmonics of 520 falling to 380 Hz, onset in 6 ms, decay over 60 ms, some breath.

    Barks of middle-sized dogs last 100 to 300 ms; fundamentals lie at 300 to 900 Hz, with harmonics to 6 kHz.
    """
    length = 0.26
    glide = 520 - 140 * ramp(length)
    stack = voice(glide, tuple(1.0 / (1 + abs(number - 2)) for number in range(14)))
    breath = 0.5 * white(len(stack), stream=11)
    one = (stack + breath) * pulse(length, attack=0.006, decay=0.06)
    barks = nothing(1.0)
    add(barks, 0.06, one, 0.24)
    add(barks, 0.52, one, 0.20)
    return barks


def soundscape() -> Signal:
    """A pond at dusk, 3 s: frog, crickets and a bird over noise with a falling spectrum, a bark far off.

    Field recordings have a noise floor that falls with frequency (wind, water), 15 to 35 dB under the callers.
    """
    scene = 0.05 * pink(len(sample_times(3.0)), stream=21)
    calls = ((frog, 0.2, 0.5), (crickets, 0.0, 0.15), (crickets, 1.5, 0.15), (chirp, 1.2, 0.4), (bark, 1.9, 0.12))
    for call, start, gain in calls:
        add(scene, start, call(), gain)
    return scene


def twenty_seconds() -> Signal:
    """The pond for 20 s: the longest clip, mostly quiet, with calls, a gust and a silent gap in between.

    Normalisation over a whole clip and attention over a thousand frames gather more rounding than short clips show.
    """
    scene = (0.02 + 0.03 * ramp(20.0)) * pink(len(sample_times(20.0)), stream=31)
    for number in range(13):
        add(scene, 1.5 * number, crickets(), 0.12)
    for call, start, gain in ((chirp, 1.0, 0.7), (frog, 3.1, 0.6), (bark, 6.4, 0.8), (whale, 8.2, 0.3)):
        add(scene, start, call(), gain)
    for call, start, gain in ((frog, 11.6, 0.25), (chirp, 14.3, 0.3), (frog, 16.9, 0.8), (chirp, 18.2, 0.5)):
        add(scene, start, call(), gain)
    add(scene, 12.5, white(len(sample_times(1.5)), stream=32) * hann(1.5), 0.3)
    scene[len(sample_times(10.5)) : len(sample_times(11.5))] = 0.0
    return scene


ORDINARY: dict[str, Callable[[], Signal]] = {
    "chirp": chirp,
    "frog": frog,
    "crickets": crickets,
    "whale": whale,
    "bark": bark,
    "soundscape": soundscape,
}


def _hard_cases(signals: dict[str, Signal]) -> dict[str, Signal]:
    """Inputs on which ports go astray although ordinary recordings look fine."""
    impulse = nothing(1.0)
    impulse[len(impulse) // 2] = 1.0
    return {
        "silence": nothing(0.5),  # the variance is 0: only the norm's epsilon divides
        "impulse": impulse,  # all of the energy in one sample
        "dc_offset": 0.6 * signals["chirp"] + 0.36,  # a bad sound card: means that dwarf the deviations
        "clipped": np.clip(8.0 * signals["bark"], -1.0, 1.0),  # an overdriven microphone
    }


def _frame_boundaries(signals: dict[str, Signal], receptive_field: int, hop: int) -> dict[str, Signal]:
    """The shortest input; a second of sound with an even frame count and, one sample less, with an odd one."""
    even = 2 * max(1, round(SAMPLE_RATE / hop / 2))
    samples = receptive_field + hop * (even - 1)
    scene = np.resize(signals["soundscape"][len(sample_times(0.9)) :], samples)
    onset = signals["bark"][len(sample_times(0.06)) :]
    return {"shortest": np.resize(onset, receptive_field), "odd_frames": scene[:-1], "even_frames": scene}
