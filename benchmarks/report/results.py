"""What was measured: rows that a peer is held against, curves, and every encoder's figures; kept as JSON by part."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

SCHEMA = 1
NEAR = 0.1  # points that are all within this part of a line or a parabola lie on it
_LAWS = ("constant", "linear", "quadratic")


@dataclass(frozen=True)
class Row:
    """Ours against a peer's, the values of paired rounds; without a peer the limit is of ours itself."""

    what: str
    peer: str
    unit: str  # "s", "MiB", …
    ours: list[float]
    theirs: list[float] = field(default_factory=list)
    allowed: float | None = None  # of the ratio, or of our median
    floor: float | None = None  # what physics leaves, in the same unit
    floor_of: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's."""
        return paired_ratio(self.ours, self.theirs) if self.theirs else None

    @property
    def ratio_of_medians(self) -> float | None:
        """The same of medians; where it differs much, the machine's speed changed between rounds."""
        return ratio_of_medians(self.ours, self.theirs) if self.theirs else None

    @property
    def met(self) -> bool | None:
        """Is it within what is allowed, by either ratio? None where nothing was promised or no peer was measured."""
        if self.allowed is None or (self.peer and not self.theirs):
            return None
        return (worst_ratio(self.ours, self.theirs) if self.theirs else statistics.median(self.ours)) <= self.allowed


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios: what slows the machine slows a whole round."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def ratio_of_medians(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The other way to put rounds together: it asks nothing of the order that they ran in."""
    return statistics.median(ours) / statistics.median(theirs)


def worst_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The greater of the two: a promise has to hold by both."""
    return max(paired_ratio(ours, theirs), ratio_of_medians(ours, theirs))


@dataclass(frozen=True)
class Curve:
    """How a quantity grows with a size."""

    what: str
    who: str
    size: str  # what the xs count
    unit: str
    xs: list[float]
    ys: list[float]

    def growth(self) -> str:
        """The simplest law that all points are near, else that none is; how far they are; the neighbours' exponents."""
        for degree in range(min(len(_LAWS), len(self.xs) - 1)):  # what has as many terms as points fits any
            terms, away = _fitted(self.xs, self.ys, degree)
            law = _LAWS[degree]
            if away <= NEAR:
                break
        else:
            law = f"none, but nearest {law}"
        powers = "".join(f" + {term:.3g} {('n', 'n²')[i]}" for i, term in enumerate(terms[1:]))
        exponents = [_exponent(self.xs[i : i + 2], self.ys[i : i + 2]) for i in range(len(self.xs) - 1)]
        fit = f"{law}: {terms[0]:.3g}{powers}, n {self.size}, all within {away:.0%}".replace("+ -", "- ")
        return f"{fit}; exponent between neighbours {', '.join(f'{exponent:.2f}' for exponent in exponents)}"


def _fitted(xs: Sequence[float], ys: Sequence[float], degree: int) -> tuple[list[float], float]:
    """The coefficients of least relative squares, the constant first, and the largest relative distance."""
    import numpy as np  # only the report needs it; what measures stays small

    x, y = np.array(xs), np.array(ys)
    terms = np.polynomial.polynomial.polyfit(x, y, degree, w=1 / y)
    return terms.tolist(), float(np.max(np.abs(np.polynomial.polynomial.polyval(x, terms) / y - 1)))


def _exponent(xs: Sequence[float], ys: Sequence[float]) -> float:
    """p of y ~ x**p between two points."""
    return math.log(ys[1] / ys[0]) / math.log(xs[1] / xs[0])


@dataclass(frozen=True)
class Measured:
    """An encoder's figures in one case."""

    case: str
    encoder: str
    seconds: list[float]  # one forward pass, median of each round
    peak_mib: float  # the process, the largest of all rounds
    error_ratio: float  # RMS error against float64, over that of the original in float32


@dataclass(frozen=True)
class Reduced:
    """What a smaller encoder takes and costs, or why there is none."""

    encoder: str
    size: int = 0  # bytes of what is stored
    snr: dict[str, float] = field(default_factory=dict)  # kind of sounds -> dB of the worst clip
    away: dict[str, float] = field(default_factory=dict)  # kind of sounds -> 1 - cosine of the worst frame
    seconds: dict[str, list[float]] = field(default_factory=dict)  # case -> each round, as in all others' rounds
    problem: str = ""


@dataclass(frozen=True)
class Part:
    """One part's results."""

    rows: list[Row] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    reduced: list[Reduced] = field(default_factory=list)


@dataclass(frozen=True)
class Session:
    """A part's results and the machine that they are from."""

    machine: dict[str, Any]
    part: Part


def read(path: Path) -> dict[str, Session]:
    """Part's name -> its results; nothing where there is no file yet."""
    if not path.exists():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    if document["schema"] != SCHEMA:
        raise ValueError(f"{path}: schema {document['schema']}, this version reads {SCHEMA}")
    return {
        name: Session(
            entry["machine"],
            Part(
                [Row(**row) for row in entry["rows"]],
                [Curve(**curve) for curve in entry["curves"]],
                [Measured(**each) for each in entry["measured"]],
                [Reduced(**each) for each in entry.get("reduced", [])],
            ),
        )
        for name, entry in document["parts"].items()
    }


def merge(path: Path, name: str, session: Session) -> dict[str, Session]:
    """Put a part's results into the file, in the place of earlier ones; returns all that is there."""
    sessions = {**read(path), name: session}
    document = {
        "schema": SCHEMA,
        "parts": {each: {"machine": found.machine, **asdict(found.part)} for each, found in sessions.items()},
    }
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(_rounded(document), indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
    return sessions


def _rounded(value: Any) -> Any:
    """Five significant digits: the rest is noise."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value
