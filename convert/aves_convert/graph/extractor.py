"""Writing the feature extractor: waveform [batch, samples] -> features [batch, frames, channels].

Its group norm is where exported graphs lose accuracy: each channel is normalised over the whole clip, and ONNX Runtime
sums the clip's float32 values one after the other. Here the first convolution and its norm become one product per clip.
With the K samples under each position of the kernel as the columns of F [K, positions], mean m and covariance S of F's
rows in float64, channel c of the convolution w·F has mean w_c·m and variance w_c·S·w_c. So conv, norm, scale and shift
are

    W'·(F - m) + b'   with   W'_c = g_c·w_c / sqrt(w_c·S·w_c + epsilon),   b' the norm's bias,

which needs float64 only for the K small rows, and no pass over the convolution's output. A constant offset of the
recording is gone before anything is rounded. The convolution's own bias moves the mean alone, and drops out.

The last two convolutions are products in float64: 1 % of the work, and more than that of the output's squared error.
That is where their kernels are as long as their strides, as HuBERT's are: frames first, what lies under a kernel is
consecutive already. Others stay in float32.
"""

from __future__ import annotations

import itertools

import numpy as np
from onnx import TensorProto

from aves_artifacts.base.errors import InputError
from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.builder import EPSILON, GraphBuilder

_IN_FLOAT64 = 2  # convolutions
_LONGEST_KERNEL = 2048  # of the first convolution, in samples; HuBERT has 10


def write_extractor(graph: GraphBuilder, config: EncoderConfig, waveform: str) -> str:
    """Append the extractor; returns the name of its output, features [batch, frames, channels]."""
    # Not Unsqueeze: of an empty batch Reshape is an error, and Einsum below a division by zero that ends the process.
    x = graph.node("feature_extractor", "Reshape", waveform, graph.constant("one_channel", [0, 1, -1]))
    count = len(config.extractor_conv_layer_config)
    in_float32 = count - _in_float64(config)
    for i in range(in_float32):
        module = f"feature_extractor.conv_layers.{i}"
        if i == 0 and config.extractor_mode == "group_norm":
            x = _normalised_convolution(graph, config, module, x)
        else:
            x = _convolution(graph, config, i, x)
        x = graph.gelu(module, x)
    x = graph.node("feature_extractor.frames_first", "Transpose", x, perm=[0, 2, 1])
    for i in range(in_float32, count):
        x = graph.gelu(f"feature_extractor.conv_layers.{i}", _convolution_in_float64(graph, config, i, x))
    return x


def _in_float64(config: EncoderConfig) -> int:
    """How many of the last convolutions are computed in float64: those whose kernels do not overlap, two at most."""
    last = config.extractor_conv_layer_config[1:][-_IN_FLOAT64:]
    without_overlap = itertools.takewhile(lambda layer: layer[1] == layer[2], reversed(last))
    return len(list(without_overlap))


def _convolution(graph: GraphBuilder, config: EncoderConfig, i: int, x: str) -> str:
    """A convolution, and its layer norm where there is one; [batch, channels, positions] in and out."""
    module, (channels, _, stride) = f"feature_extractor.conv_layers.{i}", config.extractor_conv_layer_config[i]
    x = graph.convolution(f"{module}.conv", x, *_weights(graph, config, i), stride=stride)
    if config.extractor_mode == "layer_norm":
        x = graph.node(f"{module}.frames_first", "Transpose", x, perm=[0, 2, 1])
        x = graph.layer_norm(f"{module}.layer_norm", x, channels)
        x = graph.node(f"{module}.channels_first", "Transpose", x, perm=[0, 2, 1])
    return x


def _convolution_in_float64(graph: GraphBuilder, config: EncoderConfig, i: int, x: str) -> str:
    """The same, of a kernel as long as its stride, as a product; [batch, positions, channels] in and out.

    ONNX Runtime has no Conv of float64.
    """
    module, (channels, kernel, _) = f"feature_extractor.conv_layers.{i}", config.extractor_conv_layer_config[i]
    in_channels = config.extractor_conv_layer_config[i - 1][0]
    weight, *bias = (graph.float64(name) for name in _weights(graph, config, i))
    # [out, in, kernel] -> [out, kernel·in]: of weights, so the runtime does it once
    weight = graph.node(f"{module}.conv.weight", "Transpose", weight, perm=[0, 2, 1])
    weight = graph.node(f"{module}.conv.weight", "Reshape", weight, graph.constant(f"rows_{channels}", [channels, -1]))
    column = [graph.node(f"{module}.conv.bias", "Reshape", name, graph.constant("column", [-1, 1])) for name in bias]
    x = _whole_kernels(graph, f"{module}.conv", x, kernel)
    batch = graph.node(f"{module}.conv.batch", "Shape", x, end=1)
    x = graph.node(f"{module}.conv.samples", "Reshape", x, graph.constant(f"kernels_{i}", [-1, kernel * in_channels]))
    # The weight is the left factor: the runtime rearranges the right one anew for each clip.
    x = graph.node(f"{module}.conv", "Gemm", weight, graph.float64(x), *column, transB=1)
    if config.extractor_mode == "layer_norm":
        x = graph.node(f"{module}.frames_first", "Transpose", x, perm=[1, 0])
        x = graph.float32(graph.layer_norm(f"{module}.layer_norm", x, channels))
    else:
        x = graph.node(f"{module}.frames_first", "Transpose", graph.float32(x), perm=[1, 0])
    rest = graph.constant(f"positions_{channels}", [-1, channels])
    shape = graph.node(f"{module}.conv.shape", "Concat", batch, rest, axis=0)
    return graph.node(f"{module}.conv", "Reshape", x, shape)


def _whole_kernels(graph: GraphBuilder, module: str, x: str, kernel: int) -> str:
    """x [batch, positions, channels] without the last positions, where they are too few for the kernel."""
    axis, size = graph.constant("frames_axis", [1]), graph.constant(f"kernel_{kernel}", [kernel])
    count = graph.node(f"{module}.positions", "Shape", x, start=1, end=2)
    whole = graph.node(f"{module}.whole", "Mul", graph.node(f"{module}.whole", "Div", count, size), size)
    return graph.node(f"{module}.whole", "Slice", x, graph.constant("start_0", [0]), whole, axis)


def _weights(graph: GraphBuilder, config: EncoderConfig, i: int) -> list[str]:
    """Names of a convolution's weight and, where it has one, its bias."""
    channels, kernel, _ = config.extractor_conv_layer_config[i]
    in_channels = config.extractor_conv_layer_config[i - 1][0] if i else 1
    name = f"feature_extractor.conv_layers.{i}.conv"
    weights = [graph.weight(f"{name}.weight", channels, in_channels, kernel)]
    return weights + ([graph.weight(f"{name}.bias", channels)] if config.extractor_conv_bias else [])


def _normalised_convolution(graph: GraphBuilder, config: EncoderConfig, module: str, x: str) -> str:
    """The first convolution and its group norm as one product, [batch, 1, samples] -> [batch, channels, positions]."""
    channels, kernel, stride = config.extractor_conv_layer_config[0]
    if kernel > _LONGEST_KERNEL:  # what follows grows with its square
        raise InputError(
            f"the first convolution's kernel has {kernel} samples; the graph of a group norm is written up to "
            f"{_LONGEST_KERNEL}",
            hint="{exporter} torch takes any",
        )
    weight = graph.read_float64(f"{module}.conv.weight", channels, 1, kernel)
    if config.extractor_conv_bias:
        graph.read(f"{module}.conv.bias", channels)
    gain = graph.read_float64(f"{module}.layer_norm.weight", channels)
    bias = graph.read_float64(f"{module}.layer_norm.bias", channels)
    rows, moments = _centred_rows(graph, f"{module}.conv", x, kernel, stride)

    # One more column carries the bias, to be multiplied by the row of ones: no further pass over the output.
    padded = graph.constant(f"{module}.conv.weight_padded", np.pad(weight[:, 0], ((0, 0), (0, 1))))
    shift = graph.constant(f"{module}.layer_norm.bias_padded", np.pad(bias[:, None], ((0, 0), (kernel, 0))))
    gains = graph.constant(f"{module}.layer_norm.weight_column", gain[:, None])
    norm = f"{module}.layer_norm"
    half_square = graph.node(norm, "MatMul", padded, moments)
    squares = graph.node(f"{norm}.variance", "Mul", half_square, padded)
    variance = graph.node(f"{norm}.variance", "ReduceSum", squares, graph.constant("last_axis", [-1]))
    variance = graph.node(norm, "Max", variance, graph.constant("zero_float64", np.float64(0)))  # rounding may go below
    variance = graph.node(norm, "Add", variance, graph.constant("epsilon_float64", np.float64(EPSILON)))
    deviation = graph.node(norm, "Sqrt", variance)
    scale = graph.node(norm, "Div", gains, deviation)
    scaled = graph.node(f"{norm}.scaled_weight", "Mul", padded, scale)
    weights = graph.node(f"{norm}.scaled_weight", "Add", scaled, shift)
    weights = graph.node(f"{norm}.scaled_weight", "Cast", weights, to=TensorProto.FLOAT)
    return graph.node(f"{module}.conv", "MatMul", weights, rows)


def _centred_rows(graph: GraphBuilder, module: str, x: str, kernel: int, stride: int) -> tuple[str, str]:
    """F - m with a row of ones below it, and the mean products of these rows: the covariance of F.

    [batch, kernel + 1, positions] in float32, [batch, kernel + 1, kernel + 1] in float64.
    """
    identity = graph.constant("identity_kernel", np.eye(kernel, dtype=np.float32)[:, None])
    rows = graph.node(f"{module}.rows", "Conv", x, identity, kernel_shape=[kernel], strides=[stride])  # exact: x·1 + 0
    count = graph.node(f"{module}.rows", "Shape", rows, start=2)
    count = graph.node(f"{module}.count", "Cast", count, to=TensorProto.DOUBLE)
    rows = graph.node(f"{module}.rows", "Cast", rows, to=TensorProto.DOUBLE)
    total = graph.node(f"{module}.mean", "ReduceSum", rows, graph.constant("last_axis", [-1]))
    mean = graph.node(f"{module}.mean", "Div", total, count)
    centred = graph.node(module, "Sub", rows, mean)
    pads, one = graph.constant("pad_one_row", [0, 0, 0, 0, 1, 0]), graph.constant("one_float64", np.float64(1))
    centred = graph.node(module, "Pad", centred, pads, one)
    # ONNX Runtime 1.17 fuses a Transpose with a MatMul also in float64, and then has no kernel for it; Einsum it leaves
    # alone.
    products = graph.node(f"{module}.covariance", "Einsum", centred, centred, equation="bip,bjp->bij")
    moments = graph.node(f"{module}.covariance", "Div", products, count)
    return graph.node(f"{module}.centred", "Cast", centred, to=TensorProto.FLOAT), moments
