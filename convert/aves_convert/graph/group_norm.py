"""Writing the first convolution and its group norm as one product per clip.

Each channel is normalised over the whole clip, and that is where exported graphs lose accuracy: ONNX Runtime sums the
clip's float32 values one after the other. Here the statistics come from the waveform. With the K samples under each
position of the kernel as the columns of F [K, positions], mean m and covariance S of F's rows, channel c of the
convolution w·F has mean w_c·m and variance w_c·S·w_c. So conv, norm, scale and shift are

    W'·(F - m) + b'   with   W'_c = g_c·w_c / sqrt(w_c·S·w_c + epsilon),   b' the norm's bias,

which needs no pass over the convolution's output. The convolution's own bias moves the mean alone, and drops out.

A recording's constant offset drops out as well, but not before it has cost its digits. So it is subtracted first: the
difference of two float32 numbers is rounded as small as it is, whatever the mean was rounded to.

Neighbouring samples of a low sound are nearly equal, and w·S·w is then a small difference of large numbers. So F's rows
are not the samples but their discrete cosine transform, which hardly depend on one another, and w is given in that
basis. (Type II, orthonormal: Ahmed, Natarajan and Rao, Discrete Cosine Transform, IEEE Trans. Computers C-23, 1974.)

In float32 the variance is summed in blocks of positions, each with its own w·S·w: of a tone as well, some channels see
little of what the rows are full of, and what a block's difference is rounded by is its own and averages out. With mixed
precision there is one block, in float64.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.builder import EPSILON, GraphBuilder

_LONGEST_KERNEL = 2048  # of the first convolution, in samples; HuBERT has 10
_BLOCK = 64  # positions
_BLOCKS = 32  # that are summed before the rest; together 0.6 s of AVES' positions


def write_normalised_convolution(graph: GraphBuilder, config: EncoderConfig, x: str) -> str:
    """Append the first convolution with its group norm, [batch, 1, 1, samples] -> [batch, channels, 1, positions]."""
    channels, kernel, stride = config.extractor_conv_layer_config[0]
    if kernel > _LONGEST_KERNEL:  # what follows grows with its square
        raise InputError(
            f"the first convolution's kernel has {kernel} samples; the graph of a group norm is written up to "
            f"{_LONGEST_KERNEL}",
            hint="{exporter} torch takes any",
        )
    module = "feature_extractor.conv_layers.0"
    if config.extractor_conv_bias:
        graph.read(f"{module}.conv.bias", channels)
    rows = _centred_rows(graph, f"{module}.conv", x, kernel, stride)
    fixed = graph.options.fixed_shape
    positions = None if fixed is None else (fixed[1] - kernel) // stride + 1
    products = (_products_in_float64 if graph.mixed else _products_in_blocks)(graph, f"{module}.conv", rows, positions)
    weight = _scaled_weight(graph, module, channels, kernel, products, positions)
    y = graph.node(f"{module}.conv", "MatMul", weight, graph.float32(rows))
    return graph.node(f"{module}.conv", "Unsqueeze", y, graph.constant("height_axis", [2]))


def _centred_rows(graph: GraphBuilder, module: str, x: str, kernel: int, stride: int) -> str:
    """F - m with a row of ones below it, [batch, kernel + 1, positions]: they count positions, and carry the bias."""
    x = graph.node(f"{module}.offset", "Sub", x, graph.mean(f"{module}.offset", x))
    basis = graph.constant(f"{module}.basis", cosine_transform(kernel)[:, None, None])
    rows = graph.convolution(f"{module}.rows", x, basis, kernel=kernel, stride=stride)
    rows = graph.node(f"{module}.rows", "Squeeze", rows, graph.constant("height_axis", [2]))
    rows = graph.float64(rows) if graph.mixed else rows
    centred = graph.node(module, "Sub", rows, graph.mean(f"{module}.mean", rows))
    return graph.node(module, "Pad", centred, graph.constant("pad_one_row", [0, 0, 0, 0, 1, 0]), _number(graph, 1))


def _products_in_float64(graph: GraphBuilder, module: str, rows: str, _positions: int | None) -> str:
    """The rows' products summed over all positions, [batch, 1, kernel + 1, kernel + 1]."""
    # ONNX Runtime 1.17 fuses a Transpose with a MatMul also in float64, and then has no kernel for it; Einsum it leaves
    # alone.
    products = graph.node(f"{module}.products", "Einsum", rows, rows, equation="bip,bjp->bij")
    return graph.node(f"{module}.products", "Unsqueeze", products, graph.constant("channel_axis", [1]))


def _products_in_blocks(graph: GraphBuilder, module: str, rows: str, positions: int | None) -> str:
    """The rows' products summed over the positions of each block, [batch, blocks, kernel + 1, kernel + 1], in float32.

    The blocks are cut by a convolution whose kernels each take one position, at strides of a block. Slice and Reshape
    would need the number of positions, rounded up, which many runtimes cannot follow: they want to know shapes early.
    """
    module = f"{module}.products"
    behind = _zeros_behind(positions, _BLOCK)
    padded = graph.node(module, "Pad", rows, graph.constant("pad_block", [0, 0, 0, 0, 0, behind]))
    image = graph.node(module, "Unsqueeze", padded, graph.constant("channel_axis", [1]))  # [batch, 1, rows, positions]
    places = graph.constant("identity_kernel", np.eye(_BLOCK, dtype=np.float32)[:, None, None])
    blocks = graph.convolution(f"{module}.blocks", image, places, kernel=_BLOCK, stride=_BLOCK)
    # [batch, positions of a block, rows, blocks] -> [batch, blocks, rows, positions of a block], and transposed
    left = graph.node(f"{module}.left", "Transpose", blocks, perm=[0, 3, 2, 1])
    right = graph.node(f"{module}.right", "Transpose", blocks, perm=[0, 3, 1, 2])
    return graph.node(module, "MatMul", left, right)


def _zeros_behind(size: int | None, block: int) -> int:
    """How many zeros go behind an axis, so that nothing is left over when it is cut into blocks.

    Where its size is not known, those that then fill no block are not taken. Where it is, there are none of these: IREE
    compiles no convolution that gives one position and leaves some out.
    """
    return block - 1 if size is None else -size % block


def _scaled_weight(
    graph: GraphBuilder, module: str, channels: int, kernel: int, products: str, positions: int | None
) -> str:
    """W' with a last column of b', which the row of ones adds: no further pass over the output."""
    norm = f"{module}.layer_norm"
    weight = in_basis(graph.read_float64(f"{module}.conv.weight", channels, 1, kernel)[:, 0])
    gain = graph.read_float64(f"{norm}.weight", channels)[:, None]
    bias = graph.read_float64(f"{norm}.bias", channels)[:, None]

    def constant(name: str, values: NDArray[np.float64]) -> str:
        return graph.constant(name, values if graph.mixed else values.astype(np.float32))

    padded = constant(f"{module}.conv.weight_in_basis", np.pad(weight, ((0, 0), (0, 1))))
    shift = constant(f"{norm}.bias_padded", np.pad(bias, ((0, 0), (kernel, 0))))
    half_square = graph.node(norm, "MatMul", padded, products)
    squares = graph.node(f"{norm}.squares", "Mul", half_square, padded)
    squares = graph.node(f"{norm}.squares", "ReduceSum", squares, graph.constant("last_axis", [-1]), keepdims=0)
    squares = graph.node(f"{norm}.squares", "Transpose", squares, perm=[0, 2, 1])
    blocks = None if positions is None else -(-positions // _BLOCK)
    total = _sum_over_blocks(graph, f"{norm}.variance", squares, blocks)
    variance = graph.node(f"{norm}.variance", "Div", total, _count(graph, f"{module}.conv", products, kernel))
    variance = graph.node(norm, "Max", variance, _number(graph, 0))  # rounding may go below
    variance = graph.node(norm, "Add", variance, _number(graph, EPSILON))
    deviation = graph.node(norm, "Sqrt", variance)
    scale = graph.node(norm, "Div", constant(f"{norm}.weight_column", gain), deviation)
    scaled = graph.node(f"{norm}.scaled_weight", "Mul", padded, scale)
    return graph.float32(graph.node(f"{norm}.scaled_weight", "Add", scaled, shift))


def _sum_over_blocks(graph: GraphBuilder, module: str, x: str, blocks: int | None) -> str:
    """[batch, channels, blocks] -> [batch, channels, 1]; in float32 some blocks at a time, and then these."""
    last, axis = graph.constant("last_axis", [-1]), graph.constant("channel_axis", [1])
    if graph.mixed:
        return graph.node(module, "ReduceSum", x, last)
    behind = _zeros_behind(blocks, _BLOCKS)
    padded = graph.node(module, "Pad", x, graph.constant("pad_blocks", [0, 0, 0, 0, 0, behind]))
    image = graph.node(module, "Unsqueeze", padded, axis)  # [batch, 1, channels, blocks]
    ones = graph.constant("ones_kernel", np.ones((1, 1, 1, _BLOCKS), np.float32))
    some = graph.convolution(module, image, ones, kernel=_BLOCKS, stride=_BLOCKS)
    return graph.node(module, "Squeeze", graph.node(module, "ReduceSum", some, last), axis)


def _count(graph: GraphBuilder, module: str, products: str, kernel: int) -> str:
    """How many positions there are: the sum of the products that the row of ones has with itself, [batch, 1, 1]."""
    corner = [graph.constant(f"corner_{name}", [at, at]) for name, at in (("start", kernel), ("end", kernel + 1))]
    ones = graph.node(f"{module}.count", "Slice", products, *corner, graph.constant("matrix_axes", [2, 3]))
    return graph.node(f"{module}.count", "ReduceSum", ones, graph.constant("channel_axis", [1]), keepdims=0)


def _number(graph: GraphBuilder, value: float) -> str:
    """A number in the type that the statistics are computed in."""
    kind = np.float64 if graph.mixed else np.float32
    return graph.constant(f"{value:g}_{kind.__name__}", kind(value))


def cosine_transform(size: int) -> NDArray[np.float32]:
    """The orthonormal discrete cosine transform of type II, [size, size]: row i is frequency i."""
    positions, frequencies = np.arange(size), np.arange(size)[:, None]
    basis = np.sqrt(2 / size) * np.cos(np.pi / size * (positions + 0.5) * frequencies)
    basis[0] /= np.sqrt(2)
    rounded: NDArray[np.float32] = basis.astype(np.float32)
    return rounded


def in_basis(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kernels [channels, size] in the basis of the transform: their product with it is the kernels again.

    The transform's entries are rounded, and with them its inverse is not quite the transpose. One step of Newton's
    makes it so to float64's last digits: Schulz, Iterative Berechnung der reziproken Matrix, ZAMM 13, 1933.
    """
    basis = cosine_transform(weight.shape[1]).astype(np.float64)
    correction = 2 * np.eye(len(basis)) - _product(basis, basis.T)
    return _product(weight, _product(basis.T, correction))


def _product(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix product whose sums are taken in order: those of a library depend on the machine."""
    with np.errstate(invalid="ignore"):  # what is no number stays so
        return functools.reduce(np.add, (np.multiply.outer(left[:, i], right[i]) for i in range(len(right))))
