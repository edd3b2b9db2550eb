"""Drawing a clip's spectrogram, and under it how far each port is from the original at every moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.messages import escaped
from aves_convert.sounds.clip import SAMPLE_RATE, AnyClip
from aves_verify.comparison.evidence import severity
from aves_verify.report.corpus import WorstWindow
from aves_verify.report.pictures.svg import Picture, look_of, picture, plain_powers
from aves_verify.report.summary import Port

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = Mapping[str, NDArray[np.float64]]  # by port, at most some hundred points each

_WINDOW = 512  # samples: 32 ms
_MOST_COLUMNS = 700  # of a spectrogram, and points of a curve
_RANGE = 80.0  # dB below the loudest


def clip_picture(identity: str, ports: Sequence[Port]) -> Picture | None:
    """Draw the clip with the largest difference, of those that fail where some do; None without one."""
    clip = _worst(ports)
    if clip is None:
        return None
    curves = {
        port.backend: _peaks(seen.frames)
        for port in ports
        if (seen := port.config.evidence.get((port.backend, clip.name))) is not None
    }
    caption = (
        f"Above, the spectrogram of {escaped(clip.name)}, the worst clip "
        f"({clip.duration:.2f} s, yellow is loud). Below, the largest difference from the original in each frame: "
        f"{_told(curves, clip.duration)}."
    )
    title = f"{escaped(clip.name)}: sound, and difference over time"
    return picture(identity, title, caption, 3.6, lambda figure: _draw(figure, clip.waveform, curves))


def window_picture(identity: str, window: WorstWindow, differences: Mapping[str, NDArray[np.float32]]) -> Picture:
    """Draw one of a corpus's worst windows, of which the sound is there; ``differences`` [frames] are by port."""
    assert window.waveform is not None  # noqa: S101 - the caller looked
    waveform, curves = window.waveform, {backend: _peaks(frames) for backend, frames in differences.items()}
    clip, told = escaped(window.comparison.clip), _told(curves, len(waveform) / SAMPLE_RATE)
    below = f" Below, the largest difference from the original in each frame: {told}." if curves else ""
    caption = f"{'Above, t' if curves else 'T'}he spectrogram of the window (yellow is loud).{below}"
    height = 3.6 if curves else 2.2
    return picture(identity, clip, caption, height, lambda figure: _draw(figure, waveform, curves))


def _told(curves: Curves, seconds: float) -> str:
    """The largest difference of each port, and when it is."""
    return "; ".join(
        f"{name} at most {curve.max():.1e}, at {(int(curve.argmax()) + 0.5) * seconds / len(curve):.2f} s"
        if curve.any()
        else f"{name} none, in no bit"
        for name, curve in curves.items()
    )


def _draw(figure: Figure, waveform: NDArray[np.float32], curves: Curves) -> None:
    """The spectrogram, and below it the curves where there are some."""
    seconds = len(waveform) / SAMPLE_RATE
    if curves:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        _draw_curves(below, seconds, curves)
    else:
        above = below = figure.subplots()
    above.imshow(
        spectrogram(waveform),
        origin="lower",
        aspect="auto",
        extent=(0, seconds, 0, SAMPLE_RATE / 2000),
        cmap="cividis",
        interpolation="nearest",
    )
    above.grid(visible=False)
    above.set_ylabel("kHz")
    below.set_xlim(0, seconds)
    below.set_xlabel("seconds")


def _draw_curves(axes: Axes, seconds: float, curves: Curves) -> None:
    axes.set_yscale("log")
    for backend, curve in curves.items():
        if curve.any():
            look = look_of(backend)
            time = (np.arange(len(curve)) + 0.5) * seconds / len(curve)
            shown = np.where(curve > 0, curve, np.nan)
            marker = look.marker if len(curve) <= 60 else ""
            axes.plot(time, shown, look.dash, marker=marker, ms=2.5, color=look.colour, label=backend)
    axes.set_ylabel("max |diff|")
    if axes.lines:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.1)
        plain_powers(axes, "y")


def _worst(ports: Sequence[Port]) -> AnyClip | None:
    clips = {clip.name: clip for port in ports for clip in port.config.clips}
    seen = [
        c
        for port in ports
        for c in port.comparisons
        if c.layer == "final" and c.clip in clips and (port.backend, c.clip) in port.config.evidence
    ]
    worst = max(seen, key=severity, default=None)
    return None if worst is None else clips[worst.clip]


def spectrogram(waveform: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute a spectrogram [frequency, time] in decibels below the loudest, in steps of some milliseconds."""
    padded = np.pad(waveform.astype(np.float64), (0, max(0, _WINDOW - len(waveform))))
    starts = np.arange(0, len(padded) - _WINDOW + 1, max(_WINDOW // 4, len(padded) // _MOST_COLUMNS))
    frames = padded[starts[:, None] + np.arange(_WINDOW)] * np.hanning(_WINDOW)
    power = np.square(np.abs(np.fft.rfft(frames))).T
    return np.asarray(10 * np.log10(np.maximum(power / max(power.max(), 1e-30), 10 ** (-_RANGE / 10))))


def _peaks(frames: NDArray[np.float32]) -> NDArray[np.float64]:
    """The largest of every few frames where there are too many to draw."""
    parts = np.array_split(frames.astype(np.float64), min(len(frames), _MOST_COLUMNS))
    return np.array([part.max() for part in parts])
