"""What is asked of a search: what a reduced graph may cost, and how far one is within that."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aves_artifacts.base.errors import InputError, raise_if_any
from aves_artifacts.base.extras import need
from aves_convert.graph.options import OnnxOptions
from aves_convert.reduction.cost import Cost

Tell = Callable[[str], None]  # takes one line
LARGEST_SNR = 100.0  # dB; beyond that a graph in float32 is not the same on two processors
_DIGITS_OF_SNR, _DIGITS_OF_COSINE = 3, 8


def silent(_line: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Worst:
    """The worst of several clips: by the whole clip's signal-to-noise ratio in dB, and by a frame's cosine."""

    snr: float
    snr_clip: str
    cosine: float
    cosine_clip: str

    @classmethod
    def of(cls, costs: Mapping[str, Cost]) -> Worst:
        """Find the worst of the clips' costs, each rounded down, so that what is written down is what was judged."""
        snr_clip = min(costs, key=lambda name: costs[name].snr)
        cosine_clip = min(costs, key=lambda name: costs[name].worst_cosine)
        return cls(
            _down(costs[snr_clip].snr, _DIGITS_OF_SNR),
            snr_clip,
            _down(costs[cosine_clip].worst_cosine, _DIGITS_OF_COSINE),
            cosine_clip,
        )


@dataclass(frozen=True)
class Bounds:
    """What the worst clip's signal-to-noise ratio in dB, and the worst frame's cosine, must reach at least.

    Raises InputError for a bound that nothing or everything reaches.
    """

    min_snr: float | None = None
    min_cosine: float | None = None

    def __post_init__(self) -> None:
        """Raise InputError for a bound that nothing or everything reaches."""
        problems = []
        if self.min_snr is not None and not 0 < self.min_snr <= LARGEST_SNR:
            problems.append(
                f"a signal-to-noise ratio of {self.min_snr:g} dB, expected more than 0 and at most {LARGEST_SNR:g}"
            )
        if self.min_cosine is not None and not 0 < self.min_cosine < 1:
            problems.append(f"a cosine of {self.min_cosine:g}, expected more than 0 and less than 1")
        raise_if_any(problems, "no bound")

    @property
    def noise_of_clip(self) -> float | None:
        """The most noise that a clip may have, as a part of its signal's energy."""
        return None if self.min_snr is None else 10 ** (-self.min_snr / 10)

    @property
    def noise_of_frame(self) -> float | None:
        """The most noise that a frame may have: at right angles to the signal it turns that by an angle."""
        return None if self.min_cosine is None else noise_of(self.min_cosine)

    def margin(self, found: Worst) -> float:
        """How many dB more noise there may be, infinite where there is none; below 0 where there is too much."""
        margins = [math.inf]
        if self.min_snr is not None:
            margins.append(found.snr - self.min_snr)
        if self.min_cosine is not None:
            if found.cosine <= 0:
                return -math.inf
            noise = noise_of(found.cosine)
            margins.append(10 * math.log10(noise_of(self.min_cosine) / noise) if noise > 0 else math.inf)
        return min(margins)

    def __str__(self) -> str:
        """Say the bounds in words."""
        said = [] if self.min_snr is None else [f"{self.min_snr:g} dB in every clip"]
        said += [] if self.min_cosine is None else [f"a cosine of {self.min_cosine:g} in every frame"]
        return " and ".join(said)


@dataclass(frozen=True)
class Search:
    """What a search is asked for: the bounds, recordings to search on instead of signals, and whether it is drawn.

    ``tell`` gets a line for what came of it and for audio that is not used as it is, ``show`` one for each step.
    """

    bounds: Bounds
    calibrate: tuple[Path, ...] = ()
    explain: bool = False
    tell: Tell = silent
    show: Tell = silent

    def check(self, options: OnnxOptions) -> None:
        """Raise InputError, before any work, where there is nothing to search for or what it takes is not installed."""
        if self.bounds == Bounds():
            raise InputError("a search without a bound", hint="add {min_snr} DB or {min_cosine} X")
        if options.precision != "int8":
            raise InputError(
                f"a search for what stays in float32, in a graph whose precision is {options.precision}",
                hint="add {precision} int8, or leave the bounds out",
            )
        if options.exporter != "graph":
            raise InputError("a traced graph has no int8 precision", hint="{precision} int8 needs {exporter} graph")
        modules = ("onnxruntime", *(("soundfile", "soxr") if self.calibrate else ()))
        need("a search", "verify", modules=(*modules, *(("matplotlib",) if self.explain else ())))


def noise_of(cosine: float) -> float:
    """The energy of noise at right angles, as a part of the signal's, that makes this cosine."""
    return 1 / cosine**2 - 1


def cosine_of(noise: float) -> float:
    """The cosine that so much noise at right angles makes."""
    return 1 / math.sqrt(1 + noise)


def decibels(snr: float) -> str:
    """Say a signal-to-noise ratio in words."""
    return f"{snr:.1f} dB" if math.isfinite(snr) else "no noise" if snr > 0 else "nothing but noise"


def _down(value: float, digits: int) -> float:
    return math.floor(value * 10**digits) / 10**digits if math.isfinite(value) else value
