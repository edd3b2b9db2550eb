"""Choosing the cheapest products to keep wide, from what each one's noise takes of each limit. Nothing is run here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Burden:
    """How much each product in eight bits takes of what is allowed, 1 being all; and its price in bytes when wide.

    A limit is a clip's noise or a frame's. Noise energies add, as roundings of different products know nothing of each
    other. ``fixed`` is what is there whatever is wide.
    """

    prices: Floats  # [products]
    shares: Floats  # [products, limits]
    fixed: Floats  # [limits]

    def load(self, wide: Iterable[int], tightness: float = 0.0) -> Floats:
        """What is taken of each limit while these are wide, of limits that are lower by so many dB."""
        narrow = np.setdiff1d(np.arange(len(self.prices)), np.fromiter(wide, np.int64))
        return np.asarray((self.fixed + self.shares[narrow].sum(axis=0)) * 10 ** (tightness / 10))

    def holds(self, wide: Iterable[int], tightness: float = 0.0) -> bool:
        """Whether no more is taken than is there."""
        return bool((self.load(wide, tightness) <= 1 + _ROUNDING).all())

    def price(self, wide: Iterable[int]) -> float:
        """What these cost together, in bytes."""
        return float(sum(self.prices[i] for i in wide))


def choose(burden: Burden, tightness: float = 0.0) -> tuple[int, ...] | None:
    """Choose a cheap set of products after whose widening every limit holds; None where all of them are too few.

    Greedily, what helps most for each byte, by three measures of help; then whatever is not needed is taken out again,
    the dearest first, and the cheapest of the three stays. No product of it can be left out. ``tightness``: by how many
    dB the limits are lower than they were asked for.

    >>> shares = np.array([[0.8, 0.1], [0.3, 0.3], [0.2, 0.9]])
    >>> choose(Burden(np.array([1.0, 1.0, 1.0]), shares, np.zeros(2)))
    (2,)
    """
    if not burden.holds(range(len(burden.prices)), tightness):
        return None
    found = [_without_needless(burden, _greedy(burden, tightness, help_), tightness) for help_ in _HELPS]
    return min(found, key=lambda wide: (burden.price(wide), len(wide), wide))


def _greedy(burden: Burden, tightness: float, help_: Callable[[Floats, Floats], Floats]) -> list[int]:
    """Widen one product after the other until all limits hold."""
    wide: list[int] = []
    while not burden.holds(wide, tightness):
        load, scale = burden.load(wide, tightness), 10 ** (tightness / 10)
        helped = help_(burden.shares * scale, load) / burden.prices
        helped[wide] = -1.0
        wide.append(int(np.argmax(helped)))
    return wide


def _of_the_worst(shares: Floats, load: Floats) -> Floats:
    """What each product takes of the limit that is missed most."""
    return np.asarray(shares[:, int(np.argmax(load))].copy())


def _of_all_missed(shares: Floats, load: Floats) -> Floats:
    """What each takes of all that is too much, limit by limit."""
    excess = np.maximum(load - 1, 0)
    missed = excess > 0
    return np.asarray((np.minimum(shares[:, missed], excess[missed]) / excess[missed]).sum(axis=1))


def _of_the_excess(shares: Floats, load: Floats) -> Floats:
    """The same, where what is missed by more counts for more."""
    return np.asarray(np.minimum(shares, np.maximum(load - 1, 0)).sum(axis=1))


_HELPS = (_of_the_worst, _of_all_missed, _of_the_excess)


def _without_needless(burden: Burden, wide: list[int], tightness: float) -> tuple[int, ...]:
    kept = list(wide)
    for each in sorted(wide, key=lambda i: (-burden.prices[i], float(burden.shares[i].max(initial=0.0)), i)):
        rest = [i for i in kept if i != each]
        if burden.holds(rest, tightness):
            kept = rest
    return tuple(sorted(kept))
