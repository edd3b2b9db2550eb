"""A small labelled set of synthesised animal calls, for the examples to run on without a download.

Five kinds of call in one band of pitch, so that pitch alone does not tell them apart: each call has its own pitch,
length, speed, loudness and place in the recording. Every recording has its own noise, some are of callers far off, and
one in ten has the constant offset that cheap recorders leave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from aves_verify import Clip
from synthesis import (
    SAMPLE_RATE,
    Signal,
    add,
    hann,
    on_grid,
    pink,
    pulse,
    ramp,
    sample_times,
    sine,
    voice,
    white,
)

Draw = Callable[[float, float], float]  # a number between two


def synthesised_calls(of_each: int = 36, variety: float = 1.0) -> dict[str, list[Clip]]:
    """Call type -> clips of 0.7 to 1.1 s, mono at 16 kHz; the same every time.

    ``variety`` 1: every call is of another caller at another place. Below, there is one caller for each kind and one
    place; at 0 nothing but the noise differs.
    """
    calls: dict[str, list[Clip]] = {kind: [] for kind in KINDS}
    for number in range(of_each):
        for index, (kind, synthesise) in enumerate(KINDS.items()):
            draw = _numbers(stream=1000 + number * len(KINDS) + index)
            recording = on_grid(_recording(synthesise, index, draw, variety))
            calls[kind].append(Clip(f"{kind} {number + 1}", recording, "synthesised"))
    return calls


def whistle(draw: Draw) -> Signal:
    """A whistle that sweeps up or down, by a third to an octave."""
    length, low = draw(0.25, 0.6), draw(1200, 3200)
    sweep = low * draw(1.3, 2.0) ** ramp(length)
    return voice(sweep if draw(0, 1) < 0.5 else sweep[::-1], (1.0, draw(0, 0.3))) * hann(length)


def trill(draw: Draw) -> Signal:
    """A tone whose pitch swings 12 to 40 times a second, by 5 to 20 %."""
    length, pitch = draw(0.3, 0.6), draw(1500, 4500)
    swing = 1 + draw(0.05, 0.2) * sine(draw(12, 40) * sample_times(length))
    return voice(pitch * swing, (1.0, draw(0, 0.3))) * hann(length)


def harmonics(draw: Draw) -> Signal:
    """A bark or mew: many harmonics of 250 to 700 Hz, the loudest where the other calls are."""
    length, pitch = draw(0.15, 0.5), draw(250, 700)
    loudest = draw(1200, 3500) / pitch
    strengths = tuple(1 / (1 + abs(number - loudest)) for number in range(1, 15))
    glide = pitch * draw(0.8, 1.25) ** ramp(length)
    return 0.5 * voice(glide, strengths) * pulse(length, attack=0.02, decay=length / 2)


def clicks(draw: Draw) -> Signal:
    """A train of 4 to 16 ms pulses, 8 to 30 a second."""
    length, rate, each = draw(0.3, 0.6), draw(8, 30), draw(0.004, 0.016)
    carrier = voice(np.full(len(sample_times(each)), draw(1500, 4500)), (1.0,))
    train = np.zeros(len(sample_times(length)))
    for number in range(int(length * rate)):
        add(train, number / rate, carrier * pulse(each, attack=each / 5, decay=each / 3), 1.0)
    return train


def hiss(draw: Draw) -> Signal:
    """Noise within an octave or so: white noise on a carrier, smoothed before."""
    length = draw(0.15, 0.6)
    noise = white(len(sample_times(length)), stream=int(draw(0, 1e6)))
    width = int(draw(6, 20))  # samples of the moving mean: the noise is then some 16 000 / width Hz wide
    smooth = np.convolve(noise, np.ones(width) / np.sqrt(width), mode="same")
    return smooth * sine(draw(1500, 4000) * sample_times(length)) * hann(length)


KINDS: dict[str, Callable[[Draw], Signal]] = {
    "whistle": whistle,
    "trill": trill,
    "harmonics": harmonics,
    "clicks": clicks,
    "hiss": hiss,
}


def _recording(synthesise: Callable[[Draw], Signal], kind: int, draw: Draw, variety: float) -> Signal:
    """One call somewhere in noise with a falling spectrum, 10 to 40 dB above it."""
    place = _around(_numbers(stream=len(KINDS)), draw, variety)
    length = place(0.7, 1.1)
    call = synthesise(_around(_numbers(stream=kind), draw, variety))
    scene = 0.05 * pink(len(sample_times(length)), stream=int(draw(0, 1e6)))
    start = place(0, max(0.0, length - len(call) / SAMPLE_RATE))
    level = np.sqrt(np.mean(scene**2) / np.mean(call**2))
    add(scene, start, call, level * 10 ** (place(10, 40) / 20))
    scene *= place(0.1, 0.6) / max(np.abs(scene).max(), 1e-9)  # the recorder's gain
    offset = place(0.02, 0.2) if place(0, 1) < 0.1 else 0.0
    return scene + offset


def _around(usual: Draw, draw: Draw, variety: float) -> Draw:
    """Numbers around the usual ones of a caller or a place."""

    def vary(low: float, high: float) -> float:
        centre = usual(low, high)
        return centre + variety * (draw(low, high) - centre)

    return vary


def _numbers(stream: int) -> Draw:
    """Random numbers of one clip, the same every time."""
    uniform: Iterator[float] = iter((white(32, stream=stream) + 1) / 2)
    return lambda low, high: float(low + (high - low) * next(uniform))
