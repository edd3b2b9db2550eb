"""Writing the feature extractor: waveform [batch, samples] -> features [batch, frames, channels].

With mixed precision the last two convolutions are products in float64: 1 % of the work, and more than that of the
output's squared error. That is where their kernels are as long as their strides, as HuBERT's are: frames first, what
lies under a kernel is consecutive already. Others stay in float32.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.bundle.graph_contract import WAVEFORM
from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.builder import GraphBuilder
from aves_convert.graph.group_norm import write_normalised_convolution
from aves_convert.graph.products import put_kernels, write_convolution
from aves_convert.graph.sizes import Sizes

_IN_FLOAT64 = 2  # convolutions


def write_channel(graph: GraphBuilder) -> str:
    """Append the waveforms as convolutions take them, [batch, 1, 1, samples]."""
    # Also of waveforms that have an axis for their channel. Not Unsqueeze: of an empty batch Reshape is an error, and
    # Einsum below a division by zero that ends the process.
    return graph.node("feature_extractor", "Reshape", WAVEFORM, graph.constant("one_channel", [0, 1, 1, -1]))


def write_extractor(graph: GraphBuilder, config: EncoderConfig, sizes: Sizes) -> str:
    """Append the extractor; returns the name of its output, features [batch, frames, channels]."""
    x = sizes.channel
    count = len(config.extractor_conv_layer_config)
    in_float32 = count - (_in_float64(config) if graph.mixed else 0)
    for i in range(in_float32):
        if i == 0 and config.extractor_mode == "group_norm":
            x = write_normalised_convolution(graph, config, x)
        else:
            x = _convolution(graph, config, i, x)
        x = graph.gelu(f"feature_extractor.conv_layers.{i}", x)
    x = graph.node("feature_extractor", "Squeeze", x, graph.constant("height_axis", [2]))
    x = graph.node("feature_extractor.frames_first", "Transpose", x, perm=[0, 2, 1])
    for i in range(in_float32, count):
        x = graph.gelu(f"feature_extractor.conv_layers.{i}", _convolution_in_float64(graph, config, sizes, i, x))
    return x


def _in_float64(config: EncoderConfig) -> int:
    """How many of the last convolutions are float64 in mixed precision: two at most, whose kernels do not overlap."""
    last = config.extractor_conv_layer_config[1:][-_IN_FLOAT64:]
    without_overlap = itertools.takewhile(lambda layer: layer[1] == layer[2], reversed(last))
    return len(list(without_overlap))


def _convolution(graph: GraphBuilder, config: EncoderConfig, i: int, x: str) -> str:
    """A convolution, and its layer norm where there is one; [batch, channels, 1, positions] in and out."""
    module, (channels, kernel, stride) = f"feature_extractor.conv_layers.{i}", config.extractor_conv_layer_config[i]
    kernels = put_kernels(graph, f"{module}.conv", _kernels(graph, config, i), bias=config.extractor_conv_bias)
    x = write_convolution(graph, f"{module}.conv", x, kernels, kernel=kernel, stride=stride)
    if config.extractor_mode == "layer_norm":
        x = graph.node(f"{module}.frames_first", "Transpose", x, perm=[0, 2, 3, 1])
        x = graph.layer_norm(f"{module}.layer_norm", x, channels)
        x = graph.node(f"{module}.channels_first", "Transpose", x, perm=[0, 3, 1, 2])
    return x


def _convolution_in_float64(graph: GraphBuilder, config: EncoderConfig, sizes: Sizes, i: int, x: str) -> str:
    """The same, of a kernel as long as its stride, as a product; [batch, positions, channels] in and out.

    ONNX Runtime has no Conv of float64.
    """
    module, (channels, kernel, _) = f"feature_extractor.conv_layers.{i}", config.extractor_conv_layer_config[i]
    in_channels = config.extractor_conv_layer_config[i - 1][0]
    weight = graph.float64(graph.stored(f"{module}.conv.weight", _kernels(graph, config, i)[:, :, None]))
    bias = [graph.float64(graph.weight(f"{module}.conv.bias", channels))] if config.extractor_conv_bias else []
    # [out, in, 1, kernel] -> [out, kernel·in]: of weights, so the runtime does it once
    weight = graph.node(f"{module}.conv.weight", "Transpose", weight, perm=[0, 2, 3, 1])
    weight = graph.node(f"{module}.conv.weight", "Reshape", weight, graph.constant(f"rows_{channels}", [channels, -1]))
    column = [graph.node(f"{module}.conv.bias", "Reshape", name, graph.constant("column", [-1, 1])) for name in bias]
    # without the last positions, where they are too few for the kernel
    whole = sizes.positions(f"{module}.conv", x, 1, after=i, multiple_of=kernel)
    start, axis = graph.constant("start_0", [0]), graph.constant("frames_axis", [1])
    x = graph.node(f"{module}.conv.whole", "Slice", x, start, whole, axis)
    x = graph.node(f"{module}.conv.samples", "Reshape", x, graph.constant(f"kernels_{i}", [-1, kernel * in_channels]))
    # The weight is the left factor: the runtime rearranges the right one anew for each clip.
    x = graph.node(f"{module}.conv", "Gemm", weight, graph.float64(x), *column, transB=1)
    if config.extractor_mode == "layer_norm":
        x = graph.node(f"{module}.frames_first", "Transpose", x, perm=[1, 0])
        x = graph.float32(graph.layer_norm(f"{module}.layer_norm", x, channels))
    else:
        x = graph.node(f"{module}.frames_first", "Transpose", graph.float32(x), perm=[1, 0])
    rest = graph.constant(f"positions_{channels}", [-1, channels])
    shape = graph.node(f"{module}.conv.shape", "Concat", sizes.batch(), rest, axis=0)
    return graph.node(f"{module}.conv", "Reshape", x, shape)


def _kernels(graph: GraphBuilder, config: EncoderConfig, i: int) -> NDArray[np.float32]:
    """A convolution's weight [channels, channels of the one before, kernel]."""
    channels, kernel, _ = config.extractor_conv_layer_config[i]
    in_channels = config.extractor_conv_layer_config[i - 1][0] if i else 1
    return graph.read(f"feature_extractor.conv_layers.{i}.conv.weight", channels, in_channels, kernel)
