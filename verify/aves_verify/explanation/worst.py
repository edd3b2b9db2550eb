"""Running an original and its ports with every inner value kept, to explain where a port's error begins."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.bundle.report_document import STATUSES
from aves_verify.backends.backend import Backend, RunError
from aves_verify.backends.loading import Loaded
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.comparison.compare import Comparison
from aves_verify.explanation.explain import Explanation, explain
from aves_verify.explanation.points import Point, points
from aves_verify.explanation.tracing import Values, torchaudio_values
from aves_verify.sounds.clip import SAMPLE_RATE, AnyClip
from aves_verify.sounds.inputs import network_input

_LONGEST = 5 * SAMPLE_RATE  # samples that are looked at: a base model's inner values of 5 s take about 1 GB


def explain_worst(
    loaded: Loaded, clips: Sequence[AnyClip], comparisons: Sequence[Comparison]
) -> tuple[Explanation, ...]:
    """Explain for each port where its error begins, on the clip that shows it most.

    Nothing without the exact encoder, which stands for the original in float64 and, rounded back, in float32.
    """
    if loaded.exact is None or not clips:
        return ()
    named = {clip.name: clip for clip in clips}
    original, where = loaded.exact.in_float32(), points(loaded.config)
    explanations = []
    for backend in loaded.backends[1:]:
        mine = [c for c in comparisons if c.backend == backend.name and c.clip in named]
        worst = _worst(mine, named)
        waveform = network_input(named[worst.clip], normalize=loaded.normalize)[:, :_LONGEST]
        exact = _values(loaded.exact, waveform, where, ())
        sizes = {value.size for value in exact.values()}
        try:
            own, port = (_values(encoder, waveform, where, sizes) for encoder in (original, backend))
        except RunError:
            continue  # a port that does not run has failed already, with the reason
        seconds = waveform.shape[1] / SAMPLE_RATE
        explanations.append(explain(where, exact, own, port, backend=backend.name, clip=worst.clip, seconds=seconds))
    return tuple(explanations)


def _worst(comparisons: Sequence[Comparison], clips: Mapping[str, AnyClip]) -> Comparison:
    """What to explain: sound before silence, where float32's own error is tiny and any ratio large."""
    ranked = sorted(comparisons, key=_severity, reverse=True)
    alike = [comparison for comparison in ranked if comparison.status == ranked[0].status]
    return next((comparison for comparison in alike if np.ptp(clips[comparison.clip].waveform) > 0), alike[0])


def _severity(comparison: Comparison) -> tuple[int, float]:
    ratio = comparison.error_ratio
    return STATUSES.index(comparison.status), np.inf if ratio is None else ratio


def _values(backend: Backend, waveform: NDArray[np.float32], where: Sequence[Point], sizes: Collection[int]) -> Values:
    if isinstance(backend, OnnxBackend):
        values: Values = backend.apart("aves_verify.explanation.tracing", "onnx_values", waveform, sizes)
        return values
    assert isinstance(backend, TorchaudioBackend)  # noqa: S101 - there is no third kind of port
    return torchaudio_values(lambda: backend.run(waveform), backend.model, where)
