"""What a report tells of a corpus: sums over all windows, how errors go with the sound, and the worst windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aves_verify.comparison.compare import Comparison
from aves_verify.comparison.evidence import Evidence


@dataclass(frozen=True)
class Histogram:
    """How many things lie between two neighbouring ``edges``, of which there is one more than ``counts``."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Grid:
    """How often an error ratio occurs with something of a window's sound: ``counts`` [sound, ratio].

    ``of``: ``level`` (RMS around the mean in dB of full scale), ``seconds`` (length) or ``offset`` (|mean|).
    ``edges`` are those of the sound, ``ratio_edges`` of the error ratio; what lies beyond is counted at the edge.
    """

    of: str
    edges: tuple[float, ...]
    ratio_edges: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class OutputTotals:
    """One output of one port over all windows.

    ``statuses``: windows by status. ``rms``: of all differences. ``error_ratio``: RMS of all errors against float64
    over the reference's, of the windows that have one (``measured``). ``differences``: elements by |difference|.
    """

    backend: str
    layer: str
    windows: int
    statuses: Mapping[str, int]
    elements: int
    rms: float
    measured: int
    error_ratio: float | None
    differences: Histogram
    ratios: Histogram  # windows by error ratio
    grids: tuple[Grid, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Windows or recordings that failed for one reason, whose numbers are left out; ``example`` is one as it was."""

    backend: str  # "" for a recording that cannot be read
    reason: str
    count: int
    example: str
    where: str  # the example's window or recording


@dataclass(frozen=True, eq=False)
class WorstWindow:
    """One of the worst windows: its comparison, its sound, and what its picture is drawn from.

    The arrays are None where a part kept those of worse ones alone.
    """

    comparison: Comparison
    recording: str
    start: float  # seconds
    seconds: float
    level: float
    offset: float
    waveform: NDArray[np.float32] | None = field(default=None, repr=False)  # [samples] at 16 kHz
    evidence: Evidence | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Corpus:
    """What was looked at, and what was found in all of it."""

    run: str  # by which parts are known
    recordings: int
    windows: int
    planned: int  # windows that recordings have, by their length; those that are not compared are told of
    seconds: float  # of sound in these windows; where they overlap, several times
    window: float  # seconds
    hop: float
    parts: int  # that there have to be
    missing: tuple[str, ...]  # parts that are not there, or damaged
    unreadable: int  # recordings
    skipped: int  # ends of recordings that are too short for a frame
    totals: tuple[OutputTotals, ...]
    failures: tuple[Failure, ...]
    worst: tuple[WorstWindow, ...]
    environments: tuple[Mapping[str, str], ...]  # that parts were made with; one where all machines are alike
    listed: frozenset[tuple[str, str]] = frozenset()  # clips and layers of comparisons that are windows, or all of them

    def holds(self, comparison: Comparison) -> bool:
        """Whether a comparison is of a window of the corpus, or of all of them."""
        return (comparison.clip, comparison.layer) in self.listed
