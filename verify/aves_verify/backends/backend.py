"""What a backend is: an encoder that is loaded and can run waveforms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError

# "final" -> what the original returns, "layer.0" … -> each transformer layer's output, "logits" -> that of a fine-tuned
# model's head, before any softmax; arrays are [batch, frames, dim].
Embeddings = Mapping[str, NDArray[Any]]


class RunError(InputError):
    """A port that loads, but does not run on an input that the original takes."""


@dataclass(frozen=True)
class GraphFacts:
    """What a graph says of itself: its metadata, and which outputs it has."""

    version: str
    metadata: Mapping[str, str]
    gives_layers: bool
    unknown_outputs: tuple[str, ...]


class Backend(Protocol):
    """An encoder that is loaded and can run waveforms."""

    name: str
    kind: str  # the row of the table of tolerances
    version: str

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
        """Compute the embeddings of waveforms [batch, samples] at 16 kHz, and logits where there is a head.

        Every layer's too with ``layers``.
        """
        ...
