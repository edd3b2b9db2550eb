"""Running an original and its ports with every inner value kept, to explain where a port's error begins."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from aves_verify.backends import Backend, RunError
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.clip import SAMPLE_RATE
from aves_verify.compare import Comparison
from aves_verify.explain import Explanation, explain
from aves_verify.inputs import Input
from aves_verify.loading import Loaded
from aves_verify.stages import Point, points
from aves_verify.tracing import Values, onnx_values, torchaudio_values

_LONGEST = 5 * SAMPLE_RATE  # samples that are looked at: a base model's inner values of 5 s take about 1 GB

_SEVERITY = ("pass", "near-zero drift", "fail")


def explain_worst(
    loaded: Loaded, inputs: Sequence[Input], comparisons: Sequence[Comparison]
) -> tuple[Explanation, ...]:
    """For each port, where its error begins on the clip that shows it most.

    Nothing without the exact encoder, which stands for the original in float64 and, rounded back, in float32.
    """
    clips = {item.name: item for item in inputs if item.clip is not None}
    if loaded.exact is None or not clips:
        return ()
    original, where = loaded.exact.in_float32(), points(loaded.config)
    explanations = []
    for backend in loaded.backends[1:]:
        mine = [c for c in comparisons if c.backend == backend.name and c.clip in clips]
        worst = max(mine, key=lambda c: _severity(c, clips[c.clip]))
        waveform = clips[worst.clip].waveform[:, :_LONGEST]
        exact = _values(loaded.exact, waveform, where, ())
        sizes = {value.size for value in exact.values()}
        try:
            own, port = (_values(encoder, waveform, where, sizes) for encoder in (original, backend))
        except RunError:
            continue  # a port that does not run has failed already, with the reason
        seconds = waveform.shape[1] / SAMPLE_RATE
        explanations.append(explain(where, exact, own, port, backend=backend.name, clip=worst.clip, seconds=seconds))
    return tuple(explanations)


def _severity(comparison: Comparison, item: Input) -> tuple[int, bool, float]:
    """Which clip to explain: sound before silence, where float32's own error is tiny and any ratio large."""
    ratio = comparison.error_ratio
    sound = bool(np.ptp(item.waveform) > 0)
    return _SEVERITY.index(comparison.status), sound, np.inf if ratio is None else ratio


def _values(backend: Backend, waveform: NDArray[np.float32], where: Sequence[Point], sizes: Collection[int]) -> Values:
    if isinstance(backend, OnnxBackend):
        return onnx_values(backend.path, waveform, sizes)
    assert isinstance(backend, TorchaudioBackend)  # noqa: S101 - there is no third kind of port
    return torchaudio_values(lambda: backend.run(waveform), backend.model, where)
