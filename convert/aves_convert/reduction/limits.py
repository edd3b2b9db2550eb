"""From measured noise and bounds to what each product takes of each limit, and to what a set of them should cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aves_convert.reduction.bounds import Bounds, cosine_of
from aves_convert.reduction.choice import Burden
from aves_convert.reduction.sensitivity import Tenths, energy

_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, eq=False)
class Table:
    """The noise of every product, and that of the graph with all of them wide, clip by clip and frame by frame.

    All as parts of the frames' own energies, which ``signals`` has.
    """

    clips: tuple[str, ...]
    signals: Sequence[NDArray[np.float64]]  # of each clip, [frames]
    noise: Mapping[str, Sequence[NDArray[np.float64]]]  # product -> of each clip, [frames]
    fixed: Sequence[NDArray[np.float64]]

    @classmethod
    def of(
        cls, signals: Mapping[str, NDArray[np.float64]], noise: Mapping[str, Sequence[Tenths]], fixed: Sequence[Tenths]
    ) -> Table:
        """Make the table of what was measured; where nothing is ``fixed``, there is no noise with all of them wide."""
        return cls(
            tuple(signals),
            [np.maximum(each, _TINY) for each in signals.values()],
            {product: [energy(each) for each in found] for product, found in noise.items()},
            [energy(each) for each in fixed] or [np.zeros(len(each)) for each in signals.values()],
        )

    def alone(self, product: str) -> float:
        """The worst clip's ratio in dB with this product alone in eight bits; infinite where it makes no noise."""
        return _decibels(max(self._of_clips(self.noise[product])))

    def predicted(self, narrow: Sequence[str]) -> tuple[float, float]:
        """The worst clip's ratio in dB and the worst frame's cosine with these in eight bits: noise energies add."""
        sums = [sum((self.noise[p][c] for p in narrow), start=fixed) for c, fixed in enumerate(self.fixed)]
        return _decibels(max(self._of_clips(sums))), cosine_of(max(float(each.max()) for each in sums))

    def burden(self, bounds: Bounds, prices: Mapping[str, int]) -> tuple[Burden, tuple[str, ...]]:
        """What the products of ``prices`` take of each limit, and the limits in words: clips, and frames of clips."""
        shares, fixed, words = [], [], []
        products = list(prices)
        if (most := bounds.noise_of_clip) is not None:
            shares.append(np.array([self._of_clips(self.noise[p]) for p in products]).reshape(len(products), -1) / most)
            fixed.append(np.array(self._of_clips(self.fixed)) / most)
            words += list(self.clips)
        if (most := bounds.noise_of_frame) is not None:
            shares.append(np.array([np.concatenate(self.noise[p]) for p in products]) / most)
            fixed.append(np.concatenate(self.fixed) / most)
            frames = zip(self.clips, map(len, self.signals), strict=True)
            words += [f"frame {i} of {clip}" for clip, count in frames for i in range(count)]
        price = np.array([prices[p] for p in products], np.float64)
        return Burden(price, np.concatenate(shares, axis=1), np.concatenate(fixed)), tuple(words)

    def _of_clips(self, noise: Sequence[NDArray[np.float64]]) -> list[float]:
        """The noise of whole clips: a loud frame's counts for more."""
        pairs = zip(noise, self.signals, strict=True)
        return [float((each * signal).sum() / signal.sum()) for each, signal in pairs]


def _decibels(noise: float) -> float:
    return -10 * math.log10(noise) if noise > 0 else math.inf
