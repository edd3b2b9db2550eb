"""What a graph says of itself in its attributes and constants, against what the original has. Nothing is computed.

An epsilon of 1e-12 in the place of 1e-5 hardly shows in any value, and a Dropout in training mode not at all where the
runtime takes it away; both are written in the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from aves_artifacts.base.messages import printable
from aves_artifacts.encoder import EncoderConfig
from aves_verify.audit.functions import EPSILON
from aves_verify.audit.graph_values import inner_graphs, read_by
from aves_verify.audit.saturation import choosing, saturating
from aves_verify.operators.exact import is_real

RANDOM = frozenset(
    ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
)
# What a norm's epsilon is where the file does not say it.
_EPSILONS = {
    "BatchNormalization": 1e-5,
    "GroupNorm": 1e-5,
    "GroupNormalization": 1e-5,
    "InstanceNormalization": 1e-5,
    "LayerNormalization": 1e-5,
    "MeanVarianceNormalization": 1e-9,  # it has no attribute for it: so the standard defines the operator
    "RMSNormalization": 1e-5,
    "SimplifiedLayerNormalization": 1e-5,
    "SkipGroupNorm": 1e-5,
    "SkipLayerNormalization": 1e-12,
    "SkipSimplifiedLayerNormalization": 1e-12,
}
_IN_FLOAT32 = (0, TensorProto.FLOAT, TensorProto.DOUBLE)  # types of numbers to compute in; 0: as it comes
# Of operators for all of attention: what changes scores that are large, or leaves some of them out.
_CHANGES_SCORES = ("softcap", "is_causal", "unidirectional", "do_rotary")
_AVERAGES = ("ReduceMean", "ReduceSum", "GlobalAveragePool")  # a variance is one, in single operators
# Behind these it is sought what a root is taken of; a floor of the variance is no epsilon.
_HANDS_ON = ("Identity", "Cast", "Clip", "Max", "Relu", "Abs", "Unsqueeze", "Squeeze", "Reshape", "Transpose")
_SCALING = ("Mul", "Div")
_BEHIND = 8  # operators that are looked behind
_MAX_NAMED = 2  # nodes of one kind of problem

Value = Callable[[str], NDArray[Any] | None]


def attribute_problems(
    nodes: Sequence[onnx.NodeProto],
    config: EncoderConfig,
    value: Value,
    entry: str,
    right: frozenset[str] = frozenset(),
) -> tuple[str, ...]:
    """Everything in which ``nodes``, those on a path to the outputs, say something else than the original.

    ``value`` gives a value as the runtime had it, or a weight, None for what is neither; ``entry`` is the name of the
    graph's input. A softmax that was found to be ``right`` may have its axes in another order.
    """
    every = list(_every(nodes))
    moving, by_samples = _depending(every, entry), _depending(every, entry, by_shape=False)
    found: dict[str, list[str]] = {}
    for node in every:
        for problem in (
            *_random(node, value),
            *_norm(node, value),
            *_gelu(node),
            *([] if not right.isdisjoint(node.output) else _softmax(node, value)),
            *_attention(node, config),
            *_convolution(node, config, value),
            *saturating(node, value, moving),
            *choosing(node, value, by_samples),
        ):
            found.setdefault(problem, []).append(node.name or next(iter(node.output), node.op_type))
    for name, problem in _spelled_out(every, value, by_samples):
        found.setdefault(problem, []).append(name)
    return tuple(_told(problem, names) for problem, names in found.items())


def _told(problem: str, names: Sequence[str]) -> str:
    shown = ", ".join(map(printable, names[:_MAX_NAMED]))
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return f"{problem} ({shown}{more})"


def _every(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes, and those of the graphs inside them."""
    for node in nodes:
        yield node
        for graph in inner_graphs(node):
            yield from _every(graph.node)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _random(node: onnx.NodeProto, value: Value) -> Iterator[str]:
    """What answers differently every time, or would if the runtime did not take it away."""
    if node.op_type in RANDOM:
        yield f"{node.op_type} draws random numbers: the graph is no function of its input"
    attributes = _attributes(node)
    training = bool(attributes.get("training_mode")) or (
        "is_test" in attributes and not attributes["is_test"] and node.op_type == "Dropout"
    )
    if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
        asked = value(node.input[2])
        training = asked is None or bool(np.any(asked))
    if training:
        yield f"{node.op_type} has training_mode 1, the original is in evaluation mode"


def _norm(node: onnx.NodeProto, value: Value) -> Iterator[str]:
    if node.op_type not in _EPSILONS:
        return
    attributes = _attributes(node)
    epsilon = attributes.get("epsilon", _EPSILONS[node.op_type])
    if not same_epsilon(epsilon):
        yield f"{node.op_type} has epsilon {epsilon:.6g}, the original has {EPSILON:g}"
    given = value(node.input[0])
    if attributes.get("stash_type", TensorProto.FLOAT) not in _IN_FLOAT32:
        yield f"{node.op_type} has stash_type {attributes['stash_type']}, fewer bits than float32 has"
    if node.op_type == "LayerNormalization" and given is not None:
        axis = attributes.get("axis", -1)
        if axis % given.ndim != given.ndim - 1:
            yield f"LayerNormalization has axis {axis} of {given.ndim} axes, the original norms the last"


def _gelu(node: onnx.NodeProto) -> Iterator[str]:
    """An approximation is far off for some numbers alone, which a short sound may not have."""
    if node.op_type in ("FastGelu", "QuickGelu"):
        yield f"{node.op_type} approximates GELU, the original's is exact"
    approximate = _attributes(node).get("approximate", b"none") if node.op_type == "Gelu" else b"none"
    if approximate != b"none":
        yield f"Gelu has approximate {printable(approximate.decode('utf-8', 'replace'))}, the original's is exact"


def same_epsilon(found: float) -> bool:
    """Is it the original's, to the digits that float32 has?"""
    return abs(found - EPSILON) <= 1e-6 * EPSILON


def _softmax(node: onnx.NodeProto, value: Value) -> Iterator[str]:
    given = value(node.input[0]) if node.op_type == "Softmax" else None
    if given is not None:
        axis = _attributes(node).get("axis", -1)
        if axis % given.ndim != given.ndim - 1:
            yield f"Softmax has axis {axis} of {given.ndim} axes, the original's is over the last"


def _attention(node: onnx.NodeProto, config: EncoderConfig) -> Iterator[str]:
    """Heads and scale, of operators for all of attention."""
    if node.op_type not in ("Attention", "MultiHeadAttention"):
        return
    attributes, heads = _attributes(node), config.encoder_num_heads
    for name in ("num_heads", "q_num_heads", "kv_num_heads"):
        if attributes.get(name, heads) not in (0, heads):
            yield f"{node.op_type} has {name} {attributes[name]}, the original has {heads}"
    for name in _CHANGES_SCORES:
        if attributes.get(name):
            yield f"{node.op_type} has {name} {attributes[name]:g}, the original has none"
    if attributes.get("softmax_precision", 0) not in _IN_FLOAT32:
        yield f"{node.op_type} has softmax_precision {attributes['softmax_precision']}, fewer bits than float32 has"
    wanted = (config.encoder_embed_dim // heads) ** -0.5
    scale = attributes.get("scale") or wanted
    if abs(scale - wanted) > 1e-6 * wanted:
        yield f"{node.op_type} has scale {scale:.7g}, the original has {wanted:.7g}"


def _spelled_out(nodes: Sequence[onnx.NodeProto], value: Value, moving: Collection[str]) -> Iterator[tuple[str, str]]:
    """Norms in single operators: a constant is added to the variance before its root is taken."""
    makers = {output: node for node in nodes for output in node.output}
    for node in nodes:
        epsilon = _added(node.input[0], makers, value, moving) if _is_root(node, value) else None
        if epsilon is not None and not same_epsilon(epsilon):
            yield (
                node.name or node.output[0],
                f"a norm in single operators adds epsilon {epsilon:.6g}, the original has {EPSILON:g}",
            )


def _added(name: str, makers: Mapping[str, onnx.NodeProto], value: Value, moving: Collection[str]) -> float | None:
    """The number that is added to what a root is taken of: 0 to a mean that is taken as it is; None of other roots."""
    scaled = False
    for _ in range(_BEHIND):
        maker = makers.get(name)
        if maker is None or name not in moving:
            return None
        if maker.op_type in _AVERAGES:
            return 0.0
        if maker.op_type in ("Add", "Sub", "Sum"):
            return None if scaled else _constant_of(maker, value, moving)
        varying = [each for each in maker.input if each in moving]
        if len(varying) != 1 or maker.op_type not in (*_HANDS_ON, *_SCALING):
            return None
        scaled |= maker.op_type in _SCALING
        (name,) = varying
    return None


def _constant_of(node: onnx.NodeProto, value: Value, moving: Collection[str]) -> float | None:
    """What an Add adds that is the same number everywhere; None where that is nothing, or many numbers."""
    total, found = 0.0, False
    for place, name in enumerate(node.input):
        constant = None if name in moving else value(name)
        if constant is None:
            continue
        if not is_real(constant) or np.ptp(constant) != 0:
            return None
        total += float(constant.flat[0]) * (-1 if node.op_type == "Sub" and place else 1)
        found = True
    return total if found else None


def _is_root(node: onnx.NodeProto, value: Value) -> bool:
    if node.op_type != "Pow":
        return node.op_type == "Sqrt"
    exponent = value(node.input[1])
    return exponent is not None and exponent.size == 1 and abs(float(exponent.reshape(-1)[0])) == 0.5


def _depending(nodes: Sequence[onnx.NodeProto], entry: str, *, by_shape: bool = True) -> set[str]:
    """The values that are computed from the graph's input; with ``by_shape`` also those of nothing but its shape."""
    found = {entry}
    for node in nodes:
        if (by_shape or node.op_type not in ("Shape", "Size")) and not found.isdisjoint(read_by(node)):
            found.update(node.output)
    return found


def _convolution(node: onnx.NodeProto, config: EncoderConfig, value: Value) -> Iterator[str]:
    """Strides and groups of a convolution whose kernel is as one of the original's, where its weight can be read."""
    weight = value(node.input[1]) if node.op_type == "Conv" else None
    if weight is None:
        return
    kernel, axes = tuple(size for size in (*weight.shape[:2], math.prod(weight.shape[2:]))), weight.ndim - 2
    attributes = _attributes(node)
    found = {
        "strides": math.prod(attributes.get("strides", [1])),
        "dilations": max(attributes.get("dilations", [1])),
        "group": attributes.get("group", 1),
        "pads": max(attributes.get("pads", [0])),
    }
    wanted = list(_convolutions(config).get(kernel, ()))
    if wanted and not any(all(found[name] in allowed[name] for name in found) for allowed in wanted):
        told = ", ".join(f"{name} {attributes.get(name, 'as by default')}" for name in found)
        first = ", ".join(f"{name} {' or '.join(map(str, allowed))}" for name, allowed in wanted[0].items())
        yield f"Conv over {axes} axes has {told}, the original's of this kernel has {first}"


def _convolutions(config: EncoderConfig) -> dict[tuple[int, int, int], list[dict[str, tuple[int, ...]]]]:
    """The original's convolutions by the shape of their kernel: what each attribute is, or may be."""
    found: dict[tuple[int, int, int], list[dict[str, tuple[int, ...]]]] = {}
    before = 1
    for channels, kernel, stride in config.extractor_conv_layer_config:
        wanted: dict[str, tuple[int, ...]] = {"strides": (stride,), "dilations": (1,), "group": (1,), "pads": (0,)}
        found.setdefault((channels, before, kernel), []).append(wanted)
        before = channels
    dim, groups, kernel = config.encoder_embed_dim, config.encoder_pos_conv_groups, config.encoder_pos_conv_kernel
    positional = {"strides": (1,), "dilations": (1,), "group": (groups,), "pads": (0, kernel // 2)}
    found.setdefault((dim, dim // groups, kernel), []).append(positional)
    return found
