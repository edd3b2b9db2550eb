"""Writing a graph's outputs: features as they are, projected, as units, and the logits of a fine-tuned model's head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aves_artifacts.bundle.outputs import Output, layer_name
from aves_convert.graph.attention import Shapes
from aves_convert.graph.builder import GraphBuilder
from aves_convert.graph.sizes import Sizes
from aves_convert.graph.transformer import Encoded
from aves_convert.weights.heads import CENTROIDS, Floats, Heads, projection_name


def write_outputs(sizes: Sizes, encoded: Encoded, outputs: Sequence[Output], heads: Heads, shapes: Shapes) -> None:
    """Append what turns the encoder's values [batch·frames, dim] into the outputs [batch, frames, …], in order."""
    graph, config = sizes.graph, sizes.config
    for output in outputs:
        name, axes = output.name, shapes.sequence
        x = encoded.final if output.layer is None else graph.float32(encoded.layers[output.layer])
        assert x is not None  # noqa: S101 - the encoder is written as deep as the outputs need
        if output.kind == "logits":
            assert config.aux_num_out is not None  # noqa: S101 - else there is no such output
            x = graph.linear("aux", x, config.aux_num_out, config.encoder_embed_dim)
            axes = sizes.shape(name, -1, config.aux_num_out)
        elif output.kind == "projection":
            x = _projected(graph, x, output, heads)
            axes = sizes.shape(name, -1, heads.projected)
        elif output.kind == "units":
            x = _units(graph, x, output, heads)
            axes = sizes.shape(name, -1)
        graph.node(name, "Reshape", x, axes, output=name)


def _projected(graph: GraphBuilder, x: str, output: Output, heads: Heads) -> str:
    """fairseq's ``final_proj``, or the part of it that is one label set's; its weight is in the graph once."""
    stem = projection_name(output.label_set)
    parts = zip(("weight", "bias"), heads.projection(output.label_set), strict=True)
    weight, bias = (graph.constant(f"{stem}.{part}", values) for part, values in parts)
    return graph.node(output.name, "Gemm", x, weight, bias, transB=1)


def _units(graph: GraphBuilder, x: str, output: Output, heads: Heads) -> str:
    """The index of the centroid c that is nearest to each frame, the first of several: argmin |c|²/2 - x·c.

    Both are moved so that the centroids' mean is zero, which changes no distance: features lie far from zero, and what
    float32 rounds off is a part of what is summed. |x|² is the same for all centroids and left out.
    """
    assert output.layer is not None  # noqa: S101 - units are a layer's
    module = output.name
    constants = centroid_constants(output.layer, heads.centroids[output.layer])
    mean, weight, bias = (graph.constant(name, values) for name, values in constants.items())
    x = graph.node(f"{module}.centred", "Sub", x, mean)
    scores = graph.node(module, "Gemm", x, weight, bias, transB=1)
    return graph.node(module, "ArgMin", scores, axis=1, keepdims=0, select_last_index=0)


def centroid_constants(layer: int, centroids: Floats) -> dict[str, Floats]:
    """What a graph has of a layer's centroids [k, dim], each rounded once.

    Their mean [dim]; they less it, negated; and half of the sums of these squares [k].
    """
    mean = centroids.astype(np.float64).mean(axis=0).astype(np.float32)
    centred = centroids.astype(np.float64) - mean
    halves = (centred * centred).sum(axis=1) / 2
    stem = f"{CENTROIDS}{layer_name(layer)}"
    return {
        f"{stem}.mean": mean,
        f"{stem}.negated": (-centred).astype(np.float32),
        f"{stem}.half_squares": halves.astype(np.float32),
    }
