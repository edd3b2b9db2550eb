"""Writing the transformer: features [batch, frames, channels] -> every layer's output, and the final one.

From the projection on everything is [batch·frames, dim]: a Gemm then takes torch's weights as they are, and a viewer
shows them under the state dict's own names.

With mixed precision, what the last half of the layers add to is float64, and so are their norms; products are float32
and see it rounded. Sums and norms are a tenth of the output's squared error; the earlier layers' share of that is
small, as the later norms and sums come after it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.bundle.outputs import Output
from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.attention import Attend, Shapes
from aves_convert.graph.builder import GraphBuilder
from aves_convert.graph.products import put_kernels, write_convolution, write_product
from aves_convert.graph.sizes import Sizes

_TRANSFORMER = "encoder.transformer"
_PARTS = 2  # of the layers; the last part adds and normalises in float64


@dataclass(frozen=True)
class Depth:
    """How far the encoder is written: so many layers, and whether the final embeddings are computed from them."""

    layers: int
    final: bool


@dataclass(frozen=True)
class Encoded:
    """Values of the encoder, [batch·frames, dim]: each layer's output, and the final one in float32."""

    layers: tuple[str, ...]
    final: str | None


def write_shapes(graph: GraphBuilder, config: EncoderConfig, sizes: Sizes) -> Shapes:
    """Append the nodes that compute the shapes from the batch size."""
    dim, heads = config.encoder_embed_dim, config.encoder_num_heads
    return Shapes(
        flat=graph.constant("frames_dim", [-1, dim]),
        sequence=sizes.shape("sequence", -1, dim),
        heads=sizes.shape("heads", -1, heads, dim // heads),
    )


def write_encoder(
    graph: GraphBuilder, config: EncoderConfig, features: str, shapes: Shapes, attend: Attend, depth: Depth
) -> Encoded:
    """Append projection, position embedding and transformer layers."""
    dim = config.encoder_embed_dim
    x = _project(graph, config, features, shapes)
    x = _add_positions(graph, config, x, shapes)
    if not config.encoder_layer_norm_first:
        x = graph.layer_norm(f"{_TRANSFORMER}.layer_norm", x, dim)
    layers = []
    for i in range(depth.layers):
        if graph.mixed and i == depth.layers - math.ceil(depth.layers / _PARTS):
            x = graph.float64(x)
        x = _layer(graph, config, f"{_TRANSFORMER}.layers.{i}", x, shapes, attend)
        layers.append(x)
    if not depth.final:
        return Encoded(tuple(layers), None)
    if config.encoder_layer_norm_first:
        x = graph.layer_norm(f"{_TRANSFORMER}.layer_norm", x, dim)
    return Encoded(tuple(layers), graph.float32(x))


def depth_of(outputs: Sequence[Output], config: EncoderConfig) -> Depth:
    """How deep an encoder is written that gives these outputs."""
    final = any(output.layer is None for output in outputs)
    last = max((output.layer for output in outputs if output.layer is not None), default=-1)
    return Depth(config.encoder_num_layers if final else last + 1, final)


def products(layers: int) -> tuple[str, ...]:
    """The modules of the first layers' products, in the order in which they are computed."""
    parts = [f"attention.{part}_proj" for part in ("q", "k", "v", "out")]
    parts += [f"feed_forward.{part}_dense" for part in ("intermediate", "output")]
    return tuple(f"{_TRANSFORMER}.layers.{i}.{part}" for i in range(layers) for part in parts)


def is_left_out(name: str, config: EncoderConfig, depth: Depth) -> bool:
    """Whether a graph of this depth does not need that tensor of the state dict."""
    if config.encoder_layer_norm_first and name.startswith(f"{_TRANSFORMER}.layer_norm."):
        return not depth.final
    index, _, _ = name.removeprefix(f"{_TRANSFORMER}.layers.").partition(".")
    return name.startswith(f"{_TRANSFORMER}.layers.") and int(index) >= depth.layers


def _project(graph: GraphBuilder, config: EncoderConfig, features: str, shapes: Shapes) -> str:
    """Features [batch, frames, channels] -> [batch, dim, frames], as the positional convolution takes them.

    With mixed precision the product is in float64: 0.3 % of the work. The weight is the left factor: a runtime may
    rearrange the right one anew for each clip.
    """
    norm, module = "encoder.feature_projection.layer_norm", "encoder.feature_projection.projection"
    dim, channels = config.encoder_embed_dim, config.extractor_conv_layer_config[-1][0]
    x = graph.layer_norm(norm, features, channels)
    weight, bias = graph.matrix(f"{module}.weight", dim, channels), graph.weight(f"{module}.bias", dim)
    if graph.mixed:
        weight, bias = graph.float64(weight), graph.float64(bias)
    bias = graph.node(f"{module}.bias", "Reshape", bias, graph.constant("column", [-1, 1]))
    if not graph.mixed:
        x = graph.node(f"{module}.channels_first", "Transpose", x, perm=[0, 2, 1])
        return graph.node(module, "Add", graph.node(module, "MatMul", weight, x), bias)
    # A Gemm: ONNX Runtime 1.17 fuses a Transpose with a MatMul also in float64, and then has no kernel for it.
    x = graph.node(f"{module}.flat", "Reshape", x, graph.constant("frames_channels", [-1, channels]))
    x = graph.float32(graph.node(module, "Gemm", weight, graph.float64(x), bias, transB=1))
    x = graph.node(f"{module}.frames_first", "Transpose", x, perm=[1, 0])
    x = graph.node(f"{module}.sequence", "Reshape", x, shapes.sequence)
    return graph.node(f"{module}.channels_first", "Transpose", x, perm=[0, 2, 1])


def _add_positions(graph: GraphBuilder, config: EncoderConfig, x: str, shapes: Shapes) -> str:
    """Add the positional convolution of x to x, [batch, dim, frames] -> [batch·frames, dim].

    Not flat before: some compilers cannot group the channels of what they have seen with batch and frames in one axis.
    """
    module, kernel = f"{_TRANSFORMER}.pos_conv_embed", config.encoder_pos_conv_kernel
    dim, groups = config.encoder_embed_dim, config.encoder_pos_conv_groups
    direction = graph.read(f"{module}.conv.weight_v", dim, dim // groups, kernel)
    length = graph.read(f"{module}.conv.weight_g", 1, 1, kernel)
    kernels = put_kernels(graph, f"{module}.conv", folded_weight_norm(length, direction), bias=True)
    # An even kernel gives a frame too many, which the original cuts off at the end.
    before, after = kernel // 2, (kernel - 1) // 2
    pads = graph.constant("positions_padding", [0, 0, before, 0, 0, after])
    height = graph.constant("height_axis", [2])
    # A Conv that pads is slower at the edges, and here an edge is half a kernel. Not directly before the Conv: the
    # runtime would make one of the two again.
    y = graph.node(f"{module}.padded", "Unsqueeze", graph.node(f"{module}.padded", "Pad", x, pads), height)
    y = write_convolution(graph, f"{module}.conv", y, kernels, kernel=kernel, groups=groups)
    y = graph.node(module, "Squeeze", graph.gelu(module, y), height)
    y = graph.node(_TRANSFORMER, "Add", x, y)
    y = graph.node(f"{_TRANSFORMER}.frames_first", "Transpose", y, perm=[0, 2, 1])
    return graph.node(f"{_TRANSFORMER}.flat", "Reshape", y, shapes.flat)


def folded_weight_norm(length: NDArray[np.float32], direction: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute g·v/|v| as torch's ``weight_norm(dim=2)``; |v| is over the first two axes, for each kernel position.

    Computed in float64 and rounded once, row by row: all of it at once takes six times the kernels' memory. Rows are
    added one by one: numpy's own sums may take another order tomorrow.
    """
    weight = np.empty_like(direction, np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):  # a zero column is 0/0 = NaN in torch as well
        squares = functools.reduce(np.add, (np.square(row.astype(np.float64)) for row in direction))
        norms = np.sqrt(functools.reduce(np.add, squares))
        gain = length[0].astype(np.float64)
        for row, rounded in zip(direction, weight, strict=True):
            rounded[...] = gain * row.astype(np.float64) / norms
    return weight


def _layer(graph: GraphBuilder, config: EncoderConfig, module: str, x: str, shapes: Shapes, attend: Attend) -> str:
    """One transformer layer, [batch·frames, dim]; sums and norms are in float64 where x is that."""

    def norm(name: str, x: str) -> str:
        return graph.layer_norm(f"{module}.{name}", x, config.encoder_embed_dim)

    def attended(x: str, y: str) -> str:
        """x and the attention of y."""
        y = attend(graph, config, f"{module}.attention", graph.float32(y), shapes)
        return graph.add(f"{module}.attended", x, y)

    def fed_forward(x: str, y: str) -> str:
        """x and the feed-forward network of y."""
        return graph.add(module, x, _feed_forward(graph, config, f"{module}.feed_forward", graph.float32(y)))

    if config.encoder_layer_norm_first:
        x = attended(x, norm("layer_norm", x))
        return fed_forward(x, norm("final_layer_norm", x))
    x = norm("layer_norm", attended(x, x))
    return norm("final_layer_norm", fed_forward(x, x))


def _feed_forward(graph: GraphBuilder, config: EncoderConfig, module: str, x: str) -> str:
    dim, inner = config.encoder_embed_dim, config.encoder_ff_interm_features
    x = write_product(graph, f"{module}.intermediate_dense", x, inner, dim)
    return write_product(graph, f"{module}.output_dense", graph.gelu(module, x), dim, inner)
