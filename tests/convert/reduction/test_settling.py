"""From prediction to measurement, where graphs are noisier than predicted by so many decibels."""

import math

import numpy as np
import pytest

from aves_convert.reduction.bounds import Bounds, Worst
from aves_convert.reduction.choice import Burden, choose
from aves_convert.reduction.settling import MOST_TRIALS, settle
from aves_convert.reduction.trial import Trial

BOUNDS = Bounds(30)
TABLE = Burden(np.ones(40), np.full((40, 1), 0.05), np.zeros(1))  # 20 of 40 may stay narrow


class Measured:
    """Graphs that are worse than predicted by so many dB, on the clips that are searched on and on the others."""

    def __init__(self, searched_on: float, held_out: float) -> None:
        self.off = (searched_on, held_out)
        self.count = 0

    def __call__(self, wide: tuple[int, ...]) -> Trial:
        self.count += 1
        (load,) = TABLE.load(wide)
        predicted = 30 - 10 * math.log10(load) if load > 0 else math.inf
        sides = [Worst(predicted - off, "a", 1.0, "a") for off in self.off]
        return Trial(tuple(map(str, wide)), len(wide), *sides)


def cheapest(off: float) -> int:
    """How many must be wide where everything is worse by so much."""
    return next(n for n in range(41) if (40 - n) * 0.05 * 10 ** (off / 10) <= 1 + 1e-9)


@pytest.mark.parametrize("off", [(0, 0), (0.3, 0.1), (0.1, 1.7), (3, 2), (5, 9), (-0.8, -0.9), (-2, 0.5)])
def test_the_cheapest_set_that_holds_by_measurement_is_found(off: tuple[float, float]) -> None:
    measured = Measured(*off)
    wide = settle(TABLE, BOUNDS, measured)
    assert wide is not None
    trial = measured(wide)
    assert min(trial.searched_on.snr, trial.held_out.snr) >= 30
    assert cheapest(max(off)) <= len(wide) <= cheapest(max(off)) + 1
    assert measured.count <= MOST_TRIALS + 2


def test_audio_that_is_held_out_never_makes_a_set_smaller() -> None:
    wide = settle(TABLE, BOUNDS, Measured(0, -6))
    assert wide == choose(TABLE)


def test_what_only_everything_reaches_is_everything() -> None:
    wide = settle(TABLE, BOUNDS, Measured(40, 40))
    assert wide == tuple(range(40))


def test_what_nothing_reaches_is_told() -> None:
    def noisy(wide: tuple[int, ...]) -> Trial:
        return Trial(tuple(map(str, wide)), 0, Worst(20, "a", 0.99, "a"), Worst(20, "a", 0.99, "a"))

    assert settle(TABLE, BOUNDS, noisy) is None


def test_a_bound_that_holds_with_nothing_wide_takes_one_graph() -> None:
    table = Burden(np.ones(3), np.full((3, 1), 0.1), np.zeros(1))
    count = 0

    def quiet(wide: tuple[int, ...]) -> Trial:
        nonlocal count
        count += 1
        return Trial((), len(wide), Worst(35, "a", 1, "a"), Worst(35, "a", 1, "a"))

    assert settle(table, BOUNDS, quiet) == ()
    assert count == 1
