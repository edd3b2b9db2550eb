"""Operators that add many numbers, in float64: products, convolutions, attention, sums, softmax, norms.

A norm's rounding is relative to the values and the mean that is taken from them, and to the mean square, where the
variance is computed from that: both are larger than what is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from aves_verify.operators.exact import Attributes, Exact, Inputs, NotInTableError, Operator, given, optional

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def matmul(attributes: Attributes, inputs: Inputs) -> Exact:
    """Multiply matrices; the operator of com.microsoft can turn its factors and scale the product."""
    if attributes.get("transBatchA") or attributes.get("transBatchB"):
        raise NotInTableError("turned batches")
    a, b = given(inputs, 2)
    a = a.transpose(-1, -2) if attributes.get("transA") else a
    b = b.transpose(-1, -2) if attributes.get("transB") else b
    scale = attributes.get("alpha", 1.0)
    return Exact((a @ b * scale,), (a.abs() @ b.abs() * abs(scale),), "sum", a.shape[-1])


def gemm(attributes: Attributes, inputs: Inputs) -> Exact:
    """A product and a bias."""
    product = matmul(attributes, inputs[:2])
    bias = optional(inputs, 2)
    if bias is None:
        return product
    bias = bias * attributes.get("beta", 1.0)
    (value,), (size,) = product.values, product.sizes
    return Exact((value + bias,), (size + bias.abs(),), "sum", product.length)


def convolution(attributes: Attributes, inputs: Inputs) -> Exact:
    """Over one to three axes."""
    x, weight = given(inputs, 2)
    bias, axes = optional(inputs, 2), x.ndim - 2
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise NotInTableError("auto_pad")
    pads = attributes.get("pads", [0] * 2 * axes)
    around = [size for axis in reversed(range(axes)) for size in (pads[axis], pads[axis + axes])]
    options = {
        "stride": attributes.get("strides", [1] * axes),
        "dilation": attributes.get("dilations", [1] * axes),
        "groups": attributes.get("group", 1),
    }
    run = _CONVOLUTIONS[axes]
    value = run(functional.pad(x, around), weight, bias, **options)
    # of a size a few digits will do
    rough = None if bias is None else bias.abs().float()
    size = run(functional.pad(x.abs().float(), around), weight.abs().float(), rough, **options).double()
    return Exact((value,), (size,), "sum", math.prod(weight.shape[1:]))


def einsum(attributes: Attributes, inputs: Inputs) -> Exact:
    """Any sum of products that has no "..." in it."""
    equation = attributes["equation"].decode().replace(" ", "")
    factors = given(inputs, len(inputs))
    terms, arrow, result = equation.partition("->")
    if "." in equation or not arrow:
        raise NotInTableError(equation)
    sizes = {
        letter: size
        for term, factor in zip(terms.split(","), factors, strict=True)
        for letter, size in zip(term, factor.shape, strict=True)
    }
    length = math.prod(size for letter, size in sizes.items() if letter not in result)
    size = torch.einsum(equation, *(factor.abs() for factor in factors))
    return Exact((torch.einsum(equation, *factors),), (size,), "sum", length)


def reduce(compute: Callable[[Tensor, list[int], bool], Tensor]) -> Operator:
    """A sum over some axes, which are an attribute or, from opset 13 on, an input."""

    def operator(attributes: Attributes, inputs: Inputs) -> Exact:
        (x,) = given(inputs, 1)
        asked = optional(inputs, 1)
        axes = attributes.get("axes", []) if asked is None else asked.tolist()
        if not axes and attributes.get("noop_with_empty_axes"):
            return Exact((x,), (x.abs(),), "moved")
        axes = [axis % x.ndim for axis in axes] or list(range(x.ndim))
        keep = bool(attributes.get("keepdims", 1))
        length = math.prod(x.shape[axis] for axis in axes)
        return Exact((compute(x, axes, keep),), (compute(x.abs(), axes, keep),), "sum", length)

    return operator


def softmax(attributes: Attributes, inputs: Inputs) -> Exact:
    """Compute a softmax as from opset 13 on, over one axis."""
    (x,) = given(inputs, 1)
    axis = attributes.get("axis", -1)
    y = functional.softmax(x, axis)
    below = x.amax(axis, keepdim=True) - x
    return Exact((y,), (y * (1 + below),), "sum", x.shape[axis])


def softmax_over_the_rest(attributes: Attributes, inputs: Inputs) -> Exact:
    """Compute a softmax as before opset 13, over all axes from one on."""
    (x,) = given(inputs, 1)
    flat = x.flatten(attributes.get("axis", 1))
    found = softmax({}, [flat])
    (value,), (size,) = ((y.reshape(x.shape),) for y in (*found.values, *found.sizes))
    return Exact((value,), (size,), "sum", flat.shape[-1])


def attention(attributes: Attributes, inputs: Inputs) -> Exact:
    """The standard's operator, without mask or past."""
    unknown = ("softcap", "is_causal", "qk_matmul_output_mode")
    if any(x is not None for x in inputs[3:]) or any(attributes.get(name) for name in unknown):
        raise NotInTableError("attention with a mask or a past")
    q, k, v = given(inputs, 3)
    scale = attributes.get("scale")
    if q.ndim == 4:
        return _attended(q, k, v, scale)
    own, shared = attributes["q_num_heads"], attributes["kv_num_heads"]
    return _together(_attended(_apart(q, own), _apart(k, shared), _apart(v, shared), scale))


def multi_head_attention(attributes: Attributes, inputs: Inputs) -> Exact:
    """com.microsoft's, of queries, keys and values [batch, frames, dim], with or without a bias for all three."""
    (q, k, v), bias = given(inputs, 3), optional(inputs, 3)
    if any(x is not None for x in inputs[4:]) or attributes.get("unidirectional") or k.ndim != 3:
        raise NotInTableError("attention with a mask, a past, or packed")
    if bias is not None:
        of_q, of_k, of_v = torch.split(bias, q.shape[-1])
        q, k, v = q + of_q, k + of_k, v + of_v
    heads = attributes["num_heads"]
    found = _attended(_apart(q, heads), _apart(k, heads), _apart(v, heads), attributes.get("scale") or None)
    return _together(found)


def _attended(q: Tensor, k: Tensor, v: Tensor, scale: float | None) -> Exact:
    """Queries, keys, values and result [batch, heads, frames, size]."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    shares = functional.softmax(q @ k.transpose(-1, -2) * scale, -1)
    # an error of a score is the relative error of its share
    scores = (q.abs() @ k.abs().transpose(-1, -2) * abs(scale)).amax(-1, keepdim=True)
    return Exact((shares @ v,), ((1 + scores) * (shares @ v.abs()),), "sum", k.shape[-2])


def _apart(x: Tensor, heads: int) -> Tensor:
    return x.reshape(*x.shape[:-1], heads, -1).transpose(1, 2)


def _together(found: Exact) -> Exact:
    (value,), (size,) = ((x.transpose(1, 2).flatten(2),) for x in (*found.values, *found.sizes))
    return Exact((value,), (size,), found.kind, found.length)


def layer_norm(attributes: Attributes, inputs: Inputs) -> Exact:
    """Over the last axes."""
    x, scale = given(inputs, 2)
    axes = list(range(attributes.get("axis", -1) % x.ndim, x.ndim))
    y, size = _normalised(x, axes, attributes.get("epsilon", 1e-5))
    mean, factor, larger = _moments(x, axes, attributes.get("epsilon", 1e-5))
    y, size = _scaled(y, size, scale, optional(inputs, 2))
    sizes = (size, x.abs().mean(dim=axes, keepdim=True), factor * larger)
    return Exact((y, mean, factor), sizes, "sum", _count(x, axes))


def skip_layer_norm(attributes: Attributes, inputs: Inputs) -> Exact:
    """com.microsoft's: the norm of a sum of two, with a bias added to the second; its other outputs as well."""
    x, skip, scale = given(inputs, 3)
    more = optional(inputs, 4)
    total = x + skip if more is None else x + skip + more
    added = x.abs() + skip.abs() + (0.0 if more is None else more.abs())
    axes, epsilon = [x.ndim - 1], attributes.get("epsilon", 1e-12)
    mean, factor, larger = _moments(total, axes, epsilon)
    y, size = _normalised(total, axes, epsilon)
    y, size = _scaled(y, size + added * factor, scale, optional(inputs, 3))
    sizes = (size, added.mean(dim=axes, keepdim=True), factor * larger, added)
    return Exact((y, mean, factor, total), sizes, "sum", x.shape[-1])


def instance_norm(attributes: Attributes, inputs: Inputs) -> Exact:
    """Each channel by itself."""
    x, scale, bias = given(inputs, 3)
    axes = list(range(2, x.ndim))
    y, size = _normalised(x, axes, attributes.get("epsilon", 1e-5))
    y, size = _scaled(y, size, *_by_channel(x, scale, bias))
    return Exact((y,), (size,), "sum", _count(x, axes))


def group_norm(attributes: Attributes, inputs: Inputs) -> Exact:
    """Channels in groups."""
    x, scale, bias = given(inputs, 3)
    groups = attributes["num_groups"]
    grouped = x.reshape(x.shape[0], groups, -1)
    y, size = (part.reshape(x.shape) for part in _normalised(grouped, [2], attributes.get("epsilon", 1e-5)))
    if scale.numel() != x.shape[1]:  # before opset 21 there is one for each group
        scale, bias = (part.repeat_interleave(x.shape[1] // groups) for part in (scale, bias))
    y, size = _scaled(y, size, *_by_channel(x, scale, bias))
    return Exact((y,), (size,), "sum", grouped.shape[2])


def _moments(x: Tensor, axes: list[int], epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """The mean, 1/deviation, and how many times larger than the variance the mean square is."""
    mean = x.mean(dim=axes, keepdim=True)
    variance = (x - mean).square().mean(dim=axes, keepdim=True) + epsilon
    return mean, variance.rsqrt(), x.square().mean(dim=axes, keepdim=True) / variance


def _normalised(x: Tensor, axes: list[int], epsilon: float) -> tuple[Tensor, Tensor]:
    mean, factor, larger = _moments(x, axes, epsilon)
    y = (x - mean) * factor
    return y, (x.abs() + x.abs().mean(dim=axes, keepdim=True)) * factor + y.abs() * larger


def _scaled(y: Tensor, size: Tensor, scale: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    y, size = y * scale, size * scale.abs()
    return (y, size) if bias is None else (y + bias, size + bias.abs())


def _by_channel(x: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
    return tuple(part.reshape([1, -1, *[1] * (x.ndim - 2)]) for part in parts)


def _count(x: Tensor, axes: list[int]) -> int:
    return math.prod(x.shape[axis] for axis in axes)
