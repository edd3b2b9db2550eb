"""One porting mistake: what it does to a good port, and where the verifier has to see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aves_convert.conversion.stand_in import GEOMETRIES

Kind = Literal["post-norm", "pre-norm"]
# What is damaged. Of graphs there are eight: ours, ours with every layer as an output, ours with outputs by name, what
# torch.onnx.export makes, what ONNX Runtime makes of that, and the three smaller ones. A recording stands for fairseq;
# of a bundle the manifest is read too.
Port = Literal[
    "torchaudio",
    "onnx",
    "onnx, all layers",
    "named outputs",
    "torch.onnx",
    "ORT-optimised",
    "onnx.int8",
    "onnx.float16",
    "onnx.float16-weights",
    "recording",
    "bundle",
    "transformers",
]
SMALLER: tuple[Port, ...] = ("onnx.int8", "onnx.float16", "onnx.float16-weights")
GRAPHS: tuple[Port, ...] = ("onnx", "onnx, all layers", "named outputs", "torch.onnx", "ORT-optimised", *SMALLER)
# What one of them gives; of layer 1 there are centroids.
NAMED = ("layer.1.projection", "layer.1.units", "projection", "layer.2")


# fairseq's model config of the two encoders: three layers, so that they can be shifted; a pre-norm one with biases.
# Both had two sets of labels.
_SMALL = {**GEOMETRIES["tiny"], "encoder_layers": 3, "untie_final_proj": True}
LABELS = ["km", "phn"]
ENCODERS: dict[Kind, dict[str, Any]] = {
    "post-norm": _SMALL,
    "pre-norm": {**_SMALL, "layer_norm_first": True, "extractor_mode": "layer_norm", "conv_bias": True},
}


@dataclass(frozen=True)
class Fault:
    """A mistake in one file of a bundle."""

    name: str
    stages: tuple[str, ...]  # where its trace begins; any of these is right
    port: Port
    damage: Callable[[Path, Path], None]  # given what it damages: weights and config, a graph twice, or see ``files``
    encoder: Kind = "post-norm"

    def files(self, folder: Path) -> tuple[Path, Path]:
        """What ``damage`` is given, in a copy of the bundle."""
        weights, graph = folder / "x.torchaudio.pt", folder / "x.onnx"
        if self.port == "torchaudio":
            return weights, folder / "x.torchaudio.model_config.json"
        if self.port == "transformers":
            return folder / "x.transformers" / "model.safetensors", folder / "x.transformers" / "config.json"
        if self.port == "recording":
            return folder / "x.reference", weights
        return (folder / "manifest.json", graph) if self.port == "bundle" else (graph, graph)


# Stages that are not in the encoder.
REFUSED = "refused"  # not run at all: the files do not fit together
BATCH = "batch"  # seen only where several clips are in one batch
FILE = "file"  # what a file says of itself, or that it is not read as it should
OUTPUT = "output"
WAVEFORM = "waveform"  # before the encoder

Weights = dict[str, Any]
