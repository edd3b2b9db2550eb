"""Sums of floating-point numbers that do not depend on the order in which they are added."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction


@dataclass
class ExactSum:
    """A sum without rounding: the same for every order, and for every way to cut what is added into parts.

    >>> one = ExactSum(); one.add([1e16, 1.0, -1e16]); one.value
    1.0
    """

    total: Fraction = Fraction(0)

    def add(self, values: Iterable[float]) -> None:
        """Add finite numbers."""
        for value in values:
            self.total += Fraction(value)

    @property
    def value(self) -> float:
        """The sum, rounded once."""
        return float(self.total)
