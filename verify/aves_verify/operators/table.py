"""The table of ONNX operators that are computed once more in float64."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from aves_verify.operators import sums
from aves_verify.operators.exact import Attributes, Exact, Inputs, Operator, given, optional


def _once(compute: Callable[..., Tensor], inputs: int) -> Operator:
    """Rounded once, as the standard for floating-point numbers has it."""

    def operator(_: Attributes, values: Inputs) -> Exact:
        y = compute(*given(values, inputs))
        return Exact((y,), (y.abs(),), "rounded")

    return operator


def _any_number(compute: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    def operator(_: Attributes, inputs: Inputs) -> Exact:
        y, *rest = given(inputs, len(inputs))
        for other in rest:
            y = compute(y, other)
        return Exact((y,), (y.abs(),), "rounded")

    return operator


def _function(compute: Callable[..., Tensor], inputs: int = 1) -> Operator:
    def operator(_: Attributes, values: Inputs) -> Exact:
        y = compute(*given(values, inputs))
        return Exact((y,), (y.abs(),), "function")

    return operator


def _gelu(attributes: Attributes, inputs: Inputs) -> Exact:
    """Its size is the input's: far below zero 1 + erf cancels."""
    (x,) = given(inputs, 1)
    approximate = attributes.get("approximate", b"none").decode()
    return Exact((functional.gelu(x, approximate=approximate),), (x.abs(),), "function")


def _bias_gelu(_: Attributes, inputs: Inputs) -> Exact:
    x, bias = given(inputs, 2)
    return Exact((functional.gelu(x + bias),), (x.abs() + bias.abs(),), "function")


def _fast_gelu(_: Attributes, inputs: Inputs) -> Exact:
    (x,) = given(inputs, 1)
    bias = optional(inputs, 1)
    x, size = (x, x.abs()) if bias is None else (x + bias, x.abs() + bias.abs())
    return Exact((functional.gelu(x, approximate="tanh"),), (size,), "function")


def _whole_product(_: Attributes, inputs: Inputs) -> Exact:
    """Exact in float64, as sums stay far below 2**53."""
    x, y = given(inputs, 2)
    zeros = [optional(inputs, i) for i in (2, 3)]
    x = x.double() if zeros[0] is None else x.double() - zeros[0].double()
    y = y.double() if zeros[1] is None else y.double() - zeros[1].double()
    product = x @ y
    return Exact((product,), (product.abs(),), "moved")


def _quantised(_: Attributes, inputs: Inputs) -> Exact:
    """Rounded to even and cut off, by the quotient as float32 has it. One scale for all; others are not looked at."""
    x, scale = given(inputs, 2)
    zero = optional(inputs, 2)
    if scale.numel() != 1 or zero is None or zero.dtype not in (torch.uint8, torch.int8):
        raise ValueError("a scale for each channel, or another type")
    kind = torch.iinfo(zero.dtype)
    steps = (x.float() / scale.float()).round().double() + zero.double()
    steps = steps.clamp(kind.min, kind.max)
    return Exact((steps,), (steps.abs(),), "moved")


TABLE: dict[tuple[str, str], Operator] = {
    ("", "Add"): _once(torch.add, 2),
    ("", "Sub"): _once(torch.sub, 2),
    ("", "Mul"): _once(torch.mul, 2),
    ("", "Div"): _once(torch.div, 2),
    ("", "Sqrt"): _once(torch.sqrt, 1),
    ("", "Neg"): _once(torch.neg, 1),
    ("", "Abs"): _once(torch.abs, 1),
    ("", "Relu"): _once(torch.relu, 1),
    ("", "Reciprocal"): _once(torch.reciprocal, 1),
    ("", "Identity"): _once(lambda x: x, 1),
    # what is lost by storing a value in narrower numbers is this node's error
    ("", "Cast"): _once(lambda x: x, 1),
    ("", "CastLike"): _once(lambda x: x, 1),
    ("", "Max"): _any_number(torch.maximum),
    ("", "Min"): _any_number(torch.minimum),
    ("", "Erf"): _function(torch.erf),
    ("", "Exp"): _function(torch.exp),
    ("", "Log"): _function(torch.log),
    ("", "Tanh"): _function(torch.tanh),
    ("", "Sigmoid"): _function(torch.sigmoid),
    ("", "Softplus"): _function(functional.softplus),
    ("", "Pow"): _function(torch.pow, 2),
    ("", "Gelu"): _gelu,
    ("", "MatMul"): sums.matmul,
    ("", "MatMulInteger"): _whole_product,
    ("", "QuantizeLinear"): _quantised,
    ("", "Gemm"): sums.gemm,
    ("", "Conv"): sums.convolution,
    ("", "Einsum"): sums.einsum,
    ("", "Softmax"): sums.softmax,
    ("", "Attention"): sums.attention,
    ("", "ReduceMean"): sums.reduce(lambda x, axes, keep: x.mean(dim=axes, keepdim=keep)),
    ("", "ReduceSum"): sums.reduce(lambda x, axes, keep: x.sum(dim=axes, keepdim=keep)),
    ("", "ReduceSumSquare"): sums.reduce(lambda x, axes, keep: x.square().sum(dim=axes, keepdim=keep)),
    ("", "ReduceL2"): sums.reduce(lambda x, axes, keep: x.square().sum(dim=axes, keepdim=keep).sqrt()),
    ("", "LayerNormalization"): sums.layer_norm,
    ("", "InstanceNormalization"): sums.instance_norm,
    ("", "GroupNormalization"): sums.group_norm,
    ("com.microsoft", "Gelu"): _gelu,
    ("com.microsoft", "BiasGelu"): _bias_gelu,
    ("com.microsoft", "FastGelu"): _fast_gelu,
    ("com.microsoft", "FusedMatMul"): sums.matmul,
    ("com.microsoft", "MultiHeadAttention"): sums.multi_head_attention,
    ("com.microsoft", "SkipLayerNormalization"): sums.skip_layer_norm,
}
# What only moves, chooses or compares numbers: the same bits, whoever computes it.
MOVING = frozenset(
    (
        "And", "Compress", "Concat", "ConstantOfShape", "DepthToSpace", "Equal", "Expand", "EyeLike", "Flatten",
        "Gather", "GatherElements", "GatherND", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or", "Pad",
        "Range", "ReduceMax", "ReduceMin", "Reshape", "ScatterElements", "ScatterND", "Sign", "Slice", "SpaceToDepth",
        "Split", "Squeeze", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where", "Xor",
    )
)  # fmt: skip
# What computes whole numbers that are worth a look.
WHOLE = frozenset(("MatMulInteger", "QuantizeLinear"))
# What finds a scale for itself and rounds by it: the last bit of the one decides the other.
UNSETTLED = frozenset(("DynamicQuantizeLinear", "DynamicQuantizeMatMul"))
# What makes whole numbers of few bits of a value.
QUANTISING = frozenset(("QuantizeLinear", "DynamicQuantizeLinear", "DynamicQuantizeMatMul"))
