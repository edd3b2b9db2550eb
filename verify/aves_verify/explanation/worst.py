"""Running an original and its ports with every inner value kept, to explain where a port's error begins."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.bundle.outputs import Output, is_of_heads, known_outputs
from aves_artifacts.bundle.report_document import STATUSES
from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.transformer import Depth, depth_of
from aves_convert.sounds.clip import SAMPLE_RATE, AnyClip
from aves_convert.sounds.network_input import network_input
from aves_verify.backends.backend import Backend, RunError
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.backends.transformers_model import TransformersBackend
from aves_verify.comparison.compare import Comparison
from aves_verify.explanation.explain import Explanation, explain
from aves_verify.explanation.points import Point, output_points, points
from aves_verify.explanation.tracing import Values, torch_values
from aves_verify.loading.load import Loaded
from aves_verify.sounds.memory import available, needed

_LONGEST = 5 * SAMPLE_RATE  # samples that are looked at first: a base model's inner values of 5 s take about 1 GB

Waveform = NDArray[np.float32]  # [1, samples], as the network takes it


def explain_worst(
    loaded: Loaded,
    clips: Sequence[AnyClip],
    comparisons: Sequence[Comparison],
    others: Mapping[str, Waveform] = MappingProxyType({}),
) -> tuple[Explanation, ...]:
    """Explain for each port where its error begins, on the clip that shows it most.

    ``others`` are inputs beside the clips, by name. Nothing without the exact encoder, which stands for the original in
    float64 and, rounded back, in float32.
    """
    if loaded.exact is None or not clips:
        return ()
    named = {clip.name: clip for clip in clips}

    def given(name: str) -> Waveform:
        return others[name] if name in others else network_input(named[name], normalize=loaded.normalize)

    original = loaded.exact.in_float32()
    explanations = []
    for backend in loaded.backends[1:]:
        if backend.kind == "reduced":
            continue  # its error begins at the first weight that is rounded; what is beyond that the audit finds
        mine = [c for c in comparisons if c.backend == backend.name and (c.clip in named or c.clip in others)]
        worst = _worst(mine, given)
        waveform = given(worst.clip)
        found = _explained(loaded, original, backend, worst.clip, waveform, _LONGEST)
        if worst.status == "fail" and found.partly and found.first is None and not found.failure:
            # a fault that long recordings alone show
            longer = _explained(loaded, original, backend, worst.clip, waveform, _fitting(loaded.config, waveform.size))
            found = found if longer.failure else longer
        explanations.append(found)
    return tuple(explanations)


def _explained(
    loaded: Loaded, original: TorchaudioBackend, backend: Backend, name: str, waveform: Waveform, longest: int
) -> Explanation:
    """Explain a port's error on the beginning of a waveform, of at most so many samples."""
    assert loaded.exact is not None  # noqa: S101 - explain_worst looked
    named = _named(loaded, backend)
    beginning = waveform[:, :longest]
    where = (*points(loaded.config, _depth(backend, loaded.config)), *output_points(named))
    seconds, partly = beginning.shape[1] / SAMPLE_RATE, beginning.shape != waveform.shape
    exact = _values(loaded.exact, beginning, where, (), layers=bool(named))
    sizes = {value.size for value in exact.values()}
    try:
        own, port = (_values(encoder, beginning, where, sizes, layers=bool(named)) for encoder in (original, backend))
    except RunError as error:
        return Explanation(backend.name, name, seconds, (), partly, str(error))
    return explain(where, exact, own, port, backend=backend.name, clip=name, seconds=seconds, partly=partly)


def _named(loaded: Loaded, backend: Backend) -> tuple[str, ...]:
    """What a graph gives beside the embeddings and each layer; units are whole numbers, which have no error."""
    gives = backend.gives if isinstance(backend, OnnxBackend) else ()
    named = [output for name in gives if name in loaded.named or is_of_heads(name) if (output := Output.of(name))]
    return tuple(output.name for output in named if output.kind != "units" and loaded.heads.has(output))


def _depth(backend: Backend, config: EncoderConfig) -> Depth | None:
    """How far a graph goes, by what it gives; None for what goes to the end, or is not known."""
    outputs = known_outputs(backend.gives) if isinstance(backend, OnnxBackend) else []
    return depth_of(outputs, config) if outputs else None


def _fitting(config: EncoderConfig, samples: int) -> int:
    """How many samples' inner values fit into memory, of so many: each layer keeps what one pass needs at a time."""
    kept = 1 + config.encoder_num_layers
    fitting = bisect_right(range(samples + 1), available(), key=lambda length: kept * needed(config, length)) - 1
    return max(fitting, _LONGEST)


def _worst(comparisons: Sequence[Comparison], given: Callable[[str], Waveform]) -> Comparison:
    """What to explain: sound before silence, where float32's own error is tiny and any ratio large."""
    ranked = sorted(comparisons, key=_severity, reverse=True)
    alike = [comparison for comparison in ranked if comparison.status == ranked[0].status]
    return next((comparison for comparison in alike if np.ptp(given(comparison.clip)) > 0), alike[0])


def _severity(comparison: Comparison) -> tuple[int, float]:
    ratio = comparison.error_ratio
    return STATUSES.index(comparison.status), np.inf if ratio is None else ratio


def _values(
    backend: Backend,
    waveform: NDArray[np.float32],
    where: Sequence[Point],
    sizes: Collection[int],
    *,
    layers: bool,
) -> Values:
    if isinstance(backend, OnnxBackend):
        values: Values = backend.apart("aves_verify.explanation.tracing", "onnx_values", waveform, sizes)
        return values
    if not isinstance(backend, TorchaudioBackend | TransformersBackend):
        raise RunError(f"{backend.name} does not give its inner values")
    called = backend.module_of if isinstance(backend, TransformersBackend) else str
    return torch_values(lambda: backend.run(waveform, layers=layers), backend.model, where, called)
