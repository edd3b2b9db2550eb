"""One porting mistake: what it does to a good port, and where the verifier has to see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aves_convert.conversion.stand_in import GEOMETRIES

Kind = Literal["post-norm", "pre-norm"]


# fairseq's model config of the two encoders: three layers, so that they can be shifted; a pre-norm one with biases.
_SMALL = {**GEOMETRIES["tiny"], "encoder_layers": 3}
ENCODERS: dict[Kind, dict[str, Any]] = {
    "post-norm": _SMALL,
    "pre-norm": {**_SMALL, "layer_norm_first": True, "extractor_mode": "layer_norm", "conv_bias": True},
}


@dataclass(frozen=True)
class Fault:
    """A mistake in one file of a bundle."""

    name: str
    stages: tuple[str, ...]  # where its trace begins; any of these is right
    backend: str  # "torchaudio" or "onnx": whose file is damaged
    damage: Callable[[Path, Path], None]  # given the files of that backend: weights and config, or the graph twice
    encoder: Kind = "post-norm"


# Stages that are not in the encoder.
REFUSED = "refused"  # not run at all: the files do not fit together
BATCH = "batch"  # seen only where several clips are in one batch
OUTPUT = "output"
WAVEFORM = "waveform"  # before the encoder

Weights = dict[str, Any]
