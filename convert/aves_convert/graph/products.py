"""Writing products in the precision that the options ask for: float32, half precision, or eight bits.

Whatever it is, x and what comes out are float32, and so is all that lies between products: norms, softmax, GELU, sums.

Half precision is float16 in the graph's own types: x is rounded, the product is of float16, and its bias is added after
it is float32 again.

In eight bits each row of a weight has a scale of its own, and so has each frame of x, found when the graph runs. Whole
numbers are multiplied exactly, and the product is scaled back:

    y = (round(x / s) · round(w / t)) · s · t + bias,   s = max|x| / 127 of the frame,   t of the row

x is stored from 1 to 255 with a zero at 128: the type that runtimes are fast with beside signed weights. See
``in_int8`` for t. (Symmetric, per channel and per token: Dettmers et al., LLM.int8(), NeurIPS 2022, section 2.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from aves_convert.graph.builder import GraphBuilder

_LARGEST = 127  # of a rounded weight, and of x; symmetric
_ZERO = 128  # of x
_TINY = float(np.finfo(np.float32).tiny)


def write_product(graph: GraphBuilder, module: str, x: str, rows: int, columns: int) -> str:
    """Append a torch Linear on x [n, columns], weight [rows, columns]; float32 in and out."""
    precision = graph.options.precision_of(module)
    if precision in ("float32", "mixed"):
        return graph.linear(module, x, rows, columns)
    if precision == "int8":
        y = _in_int8(graph, module, x, rows, columns)
    else:
        weight = graph.half_weight(f"{module}.weight", graph.read(f"{module}.weight", rows, columns))
        if weight is None:
            return graph.linear(module, x, rows, columns)
        y = graph.widened(module, graph.node(module, "Gemm", graph.halved(x), weight, transB=1))
    return graph.node(module, "Add", y, graph.weight(f"{module}.bias", rows))


def write_inner_product(graph: GraphBuilder, module: str, x: str, y: str) -> str:
    """Append the matrix product of two computed values, [..., n, k] and [..., k, m]; float32 in and out."""
    if graph.options.precision != "float16":
        return graph.node(module, "MatMul", x, y)
    return graph.widened(module, graph.node(module, "MatMul", graph.halved(x), graph.halved(y)))


@dataclass(frozen=True)
class Kernels:
    """A convolution's weight and bias in the graph, by name; ``half``: whether it is computed in half precision."""

    weight: str
    bias: tuple[str, ...]  # none, or one
    half: bool


def put_kernels(graph: GraphBuilder, module: str, weight: NDArray[np.float32], *, bias: bool) -> Kernels:
    """Put a Conv1d's weight [channels, channels of x / groups, kernel] into the graph, and its bias if there is one."""
    kernels, name = weight[:, :, None], f"{module}.weight"
    half = graph.half_weight(name, kernels) if graph.options.precision == "float16" else None
    kept = graph.stored(name, kernels) if half is None else half
    return Kernels(kept, (graph.weight(f"{module}.bias", len(weight)),) if bias else (), half is not None)


def write_convolution(graph: GraphBuilder, module: str, x: str, kernels: Kernels, **sizes: Any) -> str:
    """Append a torch Conv1d of x [batch, channels, 1, positions]; float32 in and out.

    ``sizes``: of ``GraphBuilder.convolution``.
    """
    if not kernels.half:
        return graph.convolution(module, x, kernels.weight, *kernels.bias, **sizes)
    y = graph.widened(module, graph.convolution(module, graph.halved(x), kernels.weight, **sizes))
    for bias in kernels.bias:
        channels = graph.node(f"{module}.bias", "Reshape", bias, graph.constant("channels", [1, -1, 1, 1]))
        y = graph.node(module, "Add", y, channels)
    return y


def _in_int8(graph: GraphBuilder, module: str, x: str, rows: int, columns: int) -> str:
    """x [n, columns] times the weight [rows, columns], without its bias."""
    rounded, scale = in_int8(graph.read(f"{module}.weight", rows, columns))
    weight = graph.constant(f"{module}.weight", np.ascontiguousarray(rounded.T))
    frames, zero = f"{x.strip('/')}.int8", graph.constant("zero_of_int8", np.uint8(_ZERO))
    size = graph.once(f"{frames}.size", "Abs", x)
    largest = graph.once_largest(f"{frames}.largest", size)
    step = graph.once(f"{frames}.step", "Div", largest, graph.constant("largest_of_int8", np.float32(_LARGEST)))
    # a frame of zeros has no largest; its steps are zeros by whatever they are divided
    step = graph.once(f"{frames}.step", "Max", step, graph.constant("smallest_step", np.float32(_TINY)))
    steps = graph.once(f"{frames}.steps", "Div", x, step)
    whole = graph.once(frames, "QuantizeLinear", steps, graph.constant("one", np.float32(1)), zero)
    y = graph.node(module, "MatMulInteger", whole, weight, zero)
    y = graph.node(f"{module}.float32", "Cast", y, to=TensorProto.FLOAT)
    y = graph.node(f"{module}.frames", "Mul", y, step)
    return graph.node(f"{module}.rows", "Mul", y, graph.constant(f"{module}.weight_scale", scale))


def in_int8(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a weight [rows, columns] to whole numbers of eight bits, with a scale [rows] for each row.

    Processors of x86 without VNNI multiply eight bits two at a time and add the two into 16 bits, which ends at 32,767:
    what is beyond is cut off, silently. x is up to 255, so in two neighbouring columns the weights of one sign must not
    be more than 128 together. Where that is what limits a row, its scale is larger than max|w| / 127; by a third where
    weights are normally distributed, which costs a base encoder 1 dB. (VPMADDUBSW: Intel 64 and IA-32 Architectures
    Software Developer's Manual, volume 2.)

    >>> rounded, scale = in_int8(np.array([[1, 0.5, 0, -1], [0.1, 0, 0, 0]], np.float32))
    >>> rounded.tolist(), scale.round(5).tolist()
    ([[85, 42, 0, -85], [127, 0, 0, 0]], [0.01181, 0.00079])
    """
    rows, columns = weight.shape
    exact = np.pad(weight.astype(np.float64), ((0, 0), (0, columns % 2)))
    pairs = exact.reshape(rows, -1, 2)
    together = np.maximum(pairs.clip(min=0).sum(axis=2), -pairs.clip(max=0).sum(axis=2))
    largest = np.maximum(np.abs(exact).max(axis=1, initial=0.0), together.max(axis=1, initial=0.0))
    scale = np.maximum(largest / _LARGEST, _TINY).astype(np.float32)
    with np.errstate(invalid="ignore"):  # what is no number stays none: it has no place here, and is told elsewhere
        rounded = np.nan_to_num(np.rint(weight / scale[:, None].astype(np.float64)))
    return rounded.clip(-_LARGEST, _LARGEST).astype(np.int8), scale
