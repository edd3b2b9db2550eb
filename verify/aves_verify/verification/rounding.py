"""Telling what float32 leaves of one input: the original in that precision, and as coarsely as runtimes have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aves_artifacts.encoder import EncoderConfig
from aves_verify.audit.steps import COARSE_WAYS, WAVEFORM, Compute, Step, steps
from aves_verify.backends.backend import Embeddings
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend

_NORMS = frozenset(("group norm", "layer norm"))  # those over a clip or its channels; a layer's are over few numbers


def in_float32(
    exact: TorchaudioBackend, config: EncoderConfig, waveform: NDArray[np.float32], outputs: Sequence[str]
) -> tuple[Embeddings, ...]:
    """Compute the original in float32 three times, with its own norms and with coarse ones, from ``exact``'s weights.

    A norm over the whole clip is where careless sums lose most, and all that follows makes more of it.
    """
    weights = exact.tensors()

    def weight(name: str) -> Tensor:
        tensor: Tensor = weights[name].float()
        return tensor

    where = steps(config, outputs)
    ways: list[dict[str, Compute]] = [{step.site: step.compute for step in where}]
    for way in range(COARSE_WAYS):
        coarse = {step.site: step.coarsely(way) for step in where if step.operator in _NORMS}
        ways.append({**ways[0], **coarse})
    return tuple(_computed(where, compute, weight, waveform, outputs) for compute in ways)


def _computed(
    where: Sequence[Step],
    compute: Mapping[str, Compute],
    weight: Callable[[str], Tensor],
    waveform: NDArray[np.float32],
    outputs: Sequence[str],
) -> Embeddings:
    """Every step in turn; a value is kept as long as a later step needs it."""
    last = {source: step.site for step in where for source in step.sources}
    values = {WAVEFORM: torch.tensor(waveform)}
    with torch.inference_mode():
        for step in where:
            values[step.site] = compute[step.site](weight, *(values[source] for source in step.sources))
            for source in step.sources:
                if last[source] == step.site:
                    values.pop(source, None)
    return {name: np.ascontiguousarray(values[name].numpy()) for name in outputs if name in values}
