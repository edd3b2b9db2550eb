"""What was run, in ranges: a verdict is about these inputs, and claims nothing beyond them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from aves_verify.sounds.inputs import Input

Range = tuple[float, float]  # the least and the largest


@dataclass(frozen=True)
class Ran:
    """The inputs of one verification: sizes, and what their samples are like."""

    seed: int | None  # of the probes; None: there were none
    inputs: int
    samples: Range
    frames: Range
    batch: Range
    level: Range  # RMS around the mean, of rows that are not silent; full scale is 1
    offset: Range  # mean of a row
    peak: float  # the largest |sample|
    repeated: int = 0  # inputs that every port was run on again
    optimisations: tuple[str, ...] = ()  # ONNX Runtime's, in sessions of their own
    batches: tuple[int, ...] = ()  # the very sizes: what lies between two of them was not run

    @property
    def text(self) -> str:
        """In one sentence."""
        *others, largest = self.batches or dict.fromkeys(map(int, self.batch))
        batch = f"{', '.join(map(str, others))} and {largest}" if others else f"{largest}"
        frames = _range(self.frames, "{:.0f}")
        level, offset = _range(self.level, "{:.1e}"), _range(self.offset, "{:+.2g}")
        told = (
            f"run on {self.inputs} inputs of {frames} frames in batches of {batch}, RMS {level}, offset {offset}, "
            f"samples up to {self.peak:.3g}"
        )
        if self.repeated:
            told += f"; {self.repeated} of them again"
        if self.optimisations:
            told += f", short ones at optimisation {' and '.join(self.optimisations)}"
        return told if self.seed is None else f"{told}; what was drawn is drawn again by the seed {self.seed}"


@dataclass(frozen=True)
class InputFacts:
    """What is kept of one input once it was run, so that its samples need not be."""

    samples: int
    frames: int
    batch: int
    levels: tuple[float, ...]
    offsets: tuple[float, ...]
    peak: float
    repeated: bool

    @classmethod
    def of(cls, item: Input, frames: int, *, repeated: bool) -> InputFacts:
        """What is kept of a waveform [batch, samples] that gives so many frames."""
        wide = item.waveform.astype(np.float64)
        offsets = wide.mean(axis=1)
        levels = np.sqrt(np.mean(np.square(wide - offsets[:, None]), axis=1))
        audible = tuple(float(level) for level in levels if level > 0)
        batch, samples = item.waveform.shape
        return cls(samples, frames, batch, audible, tuple(map(float, offsets)), float(np.abs(wide).max()), repeated)


def what_ran(facts: Iterable[InputFacts], *, seed: int | None, optimisations: tuple[str, ...]) -> Ran | None:
    """The ranges over all inputs; None where there was none."""
    every = list(facts)
    if not every:
        return None
    return Ran(
        seed=seed,
        inputs=len(every),
        samples=_over(each.samples for each in every),
        frames=_over(each.frames for each in every),
        batch=_over(each.batch for each in every),
        level=_over(level for each in every for level in each.levels),
        offset=_over(offset for each in every for offset in each.offsets),
        peak=max(each.peak for each in every),
        repeated=sum(each.repeated for each in every),
        optimisations=optimisations,
        batches=tuple(sorted({each.batch for each in every})),
    )


def _over(values: Iterable[float]) -> Range:
    every = list(values) or [0.0]
    return min(every), max(every)


def _range(of: Range, form: str) -> str:
    low, high = (form.format(value) for value in of)
    return low if low == high else f"{low} to {high}"
