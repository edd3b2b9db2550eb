"""The order for a release, and the record of the steps that are done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from aves_verify.verification.progress import Progress

Result = TypeVar("Result")


@dataclass(frozen=True)
class Order:
    """What is to be released; without names, every configuration that has an original. ``also``: as of ``Target``."""

    names: tuple[str, ...]
    url: str
    version: str
    work: Path
    stand_in: bool = False
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """A step that was done; ``seconds`` is None where its result was there already, and checked."""

    name: str  # of the encoder, empty for a step on all of them
    step: str
    seconds: float | None


@dataclass
class Journal:
    """The steps that were done, and how long each took."""

    steps: list[Step] = field(default_factory=list)
    show: Progress = lambda *_: None

    def do(self, name: str, step: str, work: Callable[[], Result]) -> Result:
        """Do a step, and record how long it took."""
        self.show(f"{name}: {step}" if name else step, 0, 1)
        start = time.perf_counter()
        result = work()
        self.steps.append(Step(name, step, time.perf_counter() - start))
        return result

    def keep(self, name: str, *steps: str) -> None:
        """Record that the results of these steps were there already."""
        self.steps += [Step(name, step, None) for step in steps]
