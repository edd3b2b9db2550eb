"""The choices that there are when an ONNX graph is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aves_artifacts.bundle.graph_contract import EMBEDDINGS, LOGITS, layer_name
from aves_artifacts.encoder import EncoderConfig

Layers = Literal["last", "all"]
Exporter = Literal["graph", "torch"]
Attention = Literal["standard", "fused"]
Precision = Literal["float32", "mixed"]


@dataclass(frozen=True)
class OnnxOptions:
    """How an ONNX graph is written; the defaults are those of the commands.

    ``layers``: whether the last layer alone is an output, or all are. ``opset``: the version of the operators; from 23
    on attention is one of them. ``exporter``: written from the weights, or traced with ``torch.onnx.export``.
    ``attention``: ``fused`` runs on ONNX Runtime alone and takes less memory; ``standard`` wherever the opset does.
    ``precision``: ``float32`` for every runtime; ``mixed`` has sums and norms in float64, for runtimes that compute it.
    ``fixed_shape``: a graph for so many waveforms of so many samples alone, [batch, samples], with no size unknown.
    """

    layers: Layers = "last"
    opset: int = 17
    exporter: Exporter = "graph"
    attention: Attention = "standard"
    precision: Precision = "float32"
    fixed_shape: tuple[int, int] | None = None

    def output_names(self, config: EncoderConfig) -> tuple[str, ...]:
        """Names of the graph's outputs in order: the final embeddings first, then layers, then the CTC head."""
        layers = tuple(layer_name(i) for i in range(config.encoder_num_layers)) if self.layers == "all" else ()
        return (EMBEDDINGS, *layers, *((LOGITS,) if config.aux_num_out is not None else ()))
