"""From a choice by prediction to one by measurement: graphs are tried until the cheapest that holds is found."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from aves_convert.reduction.bounds import Bounds
from aves_convert.reduction.choice import Burden, choose
from aves_convert.reduction.trial import Trial

MOST_TRIALS = 8
_STEP, _LARGEST_STEP, _END = 0.25, 6.0, 60.0  # dB
Wide = tuple[int, ...]


@dataclass
class _Settling:
    burden: Burden
    bounds: Bounds
    try_out: Callable[[Wide], Trial]
    tried: dict[Wide, Trial] = field(default_factory=dict)

    def margin(self, trial: Trial) -> float:
        """By how many dB a graph holds, on all clips."""
        return min(self.bounds.margin(trial.searched_on), self.bounds.margin(trial.held_out))

    @property
    def best(self) -> Wide | None:
        """The cheapest set that holds, of those that were tried."""
        holding = [wide for wide, trial in self.tried.items() if self.margin(trial) >= 0]
        return min(holding, key=lambda wide: (self.burden.price(wide), len(wide), wide), default=None)

    def at(self, tightness: float) -> Wide:
        """The set for limits that are lower by so many dB; everything, where that is too few."""
        chosen = choose(self.burden, tightness)
        return tuple(range(len(self.burden.prices))) if chosen is None else chosen

    def next_untried(self, tightness: float) -> float:
        """The first tightness from here on whose set was not tried; infinite without one."""
        while tightness < _END and self.at(tightness) in self.tried:
            tightness += _STEP
        return tightness if tightness < _END else math.inf

    def run(self) -> Wide | None:
        tightness, fails, holds = 0.0, -math.inf, math.inf
        for _ in range(MOST_TRIALS):
            wide = self.at(tightness)
            trial = self.tried.setdefault(wide, self.try_out(wide))
            margin = self.margin(trial)
            if margin < 0:
                fails, following = tightness, tightness + min(-margin, _LARGEST_STEP)
            elif not wide:
                break
            else:  # the clips that are held out only ever widen
                surplus = self.bounds.margin(trial.searched_on)
                holds, following = tightness, tightness - min(surplus, _LARGEST_STEP)
            if math.isfinite(fails) and math.isfinite(holds) and not fails < following < holds:
                following = (fails + holds) / 2
            if self.best is None:
                following = self.next_untried(following)
            if math.isinf(following) or self.at(following) in self.tried:
                break
            tightness = following
        if self.best is None:
            everything = tuple(range(len(self.burden.prices)))
            self.tried[everything] = self.tried.get(everything) or self.try_out(everything)
        return self.best


def settle(burden: Burden, bounds: Bounds, try_out: Callable[[Wide], Trial]) -> Wide | None:
    """Find the cheapest set whose graph holds the bounds on all clips; None where not even everything wide does.

    The prediction's set is tried first. What is missing or left over by measurement moves the limits, until no set that
    was not tried lies between one that fails and one that holds. What is left over is that of the clips that are
    searched on: those that are held out can make the set wider, and never smaller.
    """
    return _Settling(burden, bounds, try_out).run()
