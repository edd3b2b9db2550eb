"""Verifying one shard: what every port computes of its windows, against the original. A pure function of the two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.bundle.outputs import EMBEDDINGS, FINAL
from aves_convert.sounds.clip import too_short
from aves_convert.sounds.network_input import network_input
from aves_verify.backends.backend import RunError
from aves_verify.comparison.compare import Comparison
from aves_verify.corpus.shards import Shard
from aves_verify.corpus.windows import Cutting, Stretch, Window, windows_or_reasons
from aves_verify.loading.load import Loaded
from aves_verify.parts.differences import added, counted
from aves_verify.parts.identity import Looking
from aves_verify.parts.row import SKIPPED, UNREADABLE, Row, Sums, Where
from aves_verify.recipes.worst import Worst
from aves_verify.sounds.inputs import Input
from aves_verify.sounds.ran import InputFacts
from aves_verify.verification.comparing import RanInput, run_input
from aves_verify.verification.plan import Plan
from aves_verify.verification.self_description import fixed_samples


@dataclass(frozen=True)
class Found:
    """What was found in a shard."""

    rows: tuple[Row, ...]
    windows: int
    samples: int
    differences: dict[str, dict[str, dict[int, int]]]


def verify_shard(loaded: Loaded, shard: Shard, plan: Plan, looking: Looking, seconds: dict[str, float]) -> Found:
    """Compare every port on every window of a shard; seconds are added by backend.

    A recording whose bytes cannot be read is a row. Raises StoreError where its store does not answer, and ChangedError
    where they are others, or gone.
    """
    rows: list[Row] = []
    worst, windows, samples = Worst(looking.worst), 0, 0
    differences: dict[str, dict[str, dict[int, int]]] = {}
    for stretch in shard.stretches:
        for window in windows_of(stretch, looking.cutting):
            if isinstance(window, Row):
                rows.append(window)
            elif reason := too_short(window.clip, loaded.config.receptive_field):
                rows.append(_left_out(stretch, window, reason))
            else:
                windows, samples = windows + 1, samples + window.clip.samples
                _add(rows, worst, differences, _verified(loaded, stretch, window, plan, looking, seconds))
    return Found(worst.with_arrays(rows), windows, samples, differences)


@dataclass(frozen=True)
class _Compared:
    """One output of one port in one window."""

    row: Row
    waveform: NDArray[np.float32]
    port: Any
    reference: Any
    differences: Mapping[int, int]  # how often each size occurs


def windows_of(stretch: Stretch, cutting: Cutting) -> Iterator[Window | Row]:
    """The windows of a stretch, and a row for what cannot be read. Raises ChangedError and StoreError."""
    for found in windows_or_reasons(stretch, cutting):
        if isinstance(found, Window):
            yield found
        else:
            where = Where(stretch.recording.name, stretch.recording.sha256, found.start, 0)
            yield Row(where, UNREADABLE, found.reason)


def _left_out(stretch: Stretch, window: Window, reason: str) -> Row:
    """The row of what is too short for a frame: of a whole recording nobody can tell anything, of its end one can."""
    where = Where(stretch.recording.name, stretch.recording.sha256, window.start, window.clip.samples)
    return Row(where, SKIPPED if window.start else UNREADABLE, reason)


def _add(rows: list[Row], worst: Worst, differences: dict[str, dict[str, dict[int, int]]], found: Any) -> None:
    for each in found:
        comparison: Comparison = each.row.comparison
        worst.add(len(rows), comparison, each.waveform, each.port, each.reference)
        rows.append(each.row)
        if each.row.sums is not None:
            outputs = differences.setdefault(comparison.backend, {})
            outputs[comparison.layer] = added([outputs.get(comparison.layer, {}), each.differences])


def _verified(
    loaded: Loaded, stretch: Stretch, window: Window, plan: Plan, looking: Looking, seconds: dict[str, float]
) -> Iterator[_Compared]:
    waveform = network_input(window.clip, normalize=loaded.normalize)
    fixed = fixed_samples(loaded)
    if fixed is not None and fixed != waveform.shape[1]:  # such a graph takes nothing else
        waveform = waveform[:, np.arange(fixed) % waveform.shape[1]]
    number = int(stretch.recording.sha256[:8], 16) + window.start // looking.cutting.hop_samples
    exactly = number % looking.exact_every == 0
    item = Input(window.name, waveform, window.clip, exactly)
    ran = run_input(loaded, item, seconds, layers=plan.layers == "all", every_port=True)
    where = _where(stretch, window, loaded)
    for comparison in ran.compared(plan):
        port, reference = _outputs(ran, comparison)
        sums, counts = None, dict[int, int]()
        if np.isfinite(comparison.mean_abs) and comparison.flips is None:
            sums, counts = _sums(port, reference)
        yield _Compared(Row.of(where, comparison, sums), window.clip.waveform, port, reference, counts)


def _where(stretch: Stretch, window: Window, loaded: Loaded) -> Where:
    clip = window.clip
    facts = InputFacts.of(Input(clip.name, clip.waveform[None]), loaded.config.frames(clip.samples), repeated=False)
    level = facts.levels[0] if facts.levels else 0.0
    recording = stretch.recording
    return Where(recording.name, recording.sha256, window.start, clip.samples, level, facts.offsets[0], facts.peak)


def _outputs(ran: RanInput, comparison: Comparison) -> tuple[Any, Any]:
    """What the port gave and what the original gave; None where one of them gave nothing."""
    found, expected = ran.found[comparison.backend], ran.answers.expected
    layer = comparison.layer
    port = None if isinstance(found, RunError) else found.get(layer)
    return port, expected.get(FINAL if layer == EMBEDDINGS else layer)


def _sums(port: NDArray[np.float32], reference: NDArray[np.float32]) -> tuple[Sums, dict[int, int]]:
    difference = port.astype(np.float64) - reference
    squares = float(np.sum(difference * difference))
    sums = Sums(port.size, squares, float(np.sum(np.square(reference, dtype=np.float64))))
    return sums, counted(difference)
