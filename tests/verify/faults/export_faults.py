"""Mistakes in graphs that others made: what torch.onnx.export writes, and what ONNX Runtime makes of it and saves.

Their weights and nodes have names of their own, so nothing can be found by name; most of these faults are smaller than
the graph's own rounding at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from tests.verify.faults.fault import FILE, OUTPUT, Fault, Kind, Port
from tests.verify.faults.graph_edits import (
    Change,
    Model,
    after,
    constant,
    gelu,
    int8,
    node,
    nodes,
    replace,
    set_attribute,
    set_weight,
    to_bfloat16,
)

LAYER = "/layers.1/"
WEIGHTS = "model.encoder.transformer.layers.1."
FINAL = "embeddings"
EXPORT: Port = "torch.onnx"
OPTIMISED: Port = "ORT-optimised"
MIDDLE, EVERYWHERE, POSITIONS = "layer 1", "conv block 0", "positional convolution"
NORMS = ("LayerNormalization", "SkipLayerNormalization", "InstanceNormalization")
Array = np.ndarray


def in_export(
    port: Port, name: str, change: Change, *stages: str, encoder: Kind = "post-norm", file: bool = False
) -> Fault:
    """A fault in a foreign graph; what is written in the ``file`` may be all that shows it."""

    def damage(path: Path, _same: Path) -> None:
        model = onnx.load(path)
        change(model)
        onnx.save(model, path)

    told = {"torch.onnx": "export", "ORT-optimised": "optimised export"}[port]
    return Fault(f"{name}, {told}", (*stages, FILE) if file else stages, port, damage, encoder)


def matrix(of: str, change: Callable[[Array], Array]) -> Change:
    """Change the matrix of a linear layer, whatever it is called."""

    def apply(model: Model) -> None:
        product = node(model, f"{LAYER}{of}/MatMul")
        held = {tensor.name for tensor in model.graph.initializer}
        (name,) = [name for name in product.input if name in held]
        set_weight(model, name, lambda a: change(a).astype(a.dtype))

    return apply


def weight(name: str, change: Callable[[Array], Array]) -> Change:
    return lambda model: set_weight(model, WEIGHTS + name, lambda a: change(a).astype(a.dtype))


def one_larger(a: Array) -> Array:
    a[3] += np.float32(1e-4)
    return a


def exchanged(one: str, other: str) -> Change:
    """Two tensors of one shape in each other's place."""

    def apply(model: Model) -> None:
        held = {t.name: t for t in model.graph.initializer}
        values = [numpy_helper.to_array(held[WEIGHTS + name]).copy() for name in (one, other)]
        set_weight(model, WEIGHTS + one, lambda _: values[1])
        set_weight(model, WEIGHTS + other, lambda _: values[0])

    return apply


def epsilons(value: float, only: str = "", *, ops: tuple[str, ...] = NORMS) -> Change:
    def apply(model: Model) -> None:
        found = [n for n in model.graph.node if n.op_type in ops and only in n.name]
        assert found
        for norm in found:
            set_attribute(norm, "epsilon", value)

    return apply


def scores_in_half(model: Model) -> None:
    for softmax in nodes(model, "Softmax"):
        value = softmax.input[0]
        (place,) = [i for i, n in enumerate(model.graph.node) if value in n.output]
        cast = onnx.helper.make_node
        model.graph.node.insert(place + 1, cast("Cast", [value], [f"{value}/half"], to=TensorProto.FLOAT16))
        model.graph.node.insert(place + 2, cast("Cast", [f"{value}/half"], [f"{value}/wide"], to=TensorProto.FLOAT))
        softmax.input[0] = f"{value}/wide"


def behind(model: Model, value: str, *steps: tuple[str, list[str], str, dict[str, Any]]) -> None:
    """Put nodes behind the one that computes a value: they read "@in" and write "@out"."""
    (place,) = [i for i, n in enumerate(model.graph.node) if value in n.output]
    producer, inner = model.graph.node[place], f"{value}/before"
    producer.output[:] = [inner if name == value else name for name in producer.output]
    for i, (op, inputs, output, attributes) in enumerate(steps, start=1):
        names = [inner if name == "@in" else name for name in inputs]
        made = onnx.helper.make_node(op, names, [value if output == "@out" else output], **attributes)
        model.graph.node.insert(place + i, made)


def in_half(model: Model, value: str) -> None:
    """Stored in half precision, and read back."""
    narrow, wide = {"to": TensorProto.FLOAT16}, {"to": TensorProto.FLOAT}
    behind(model, value, ("Cast", ["@in"], "narrow", narrow), ("Cast", ["narrow"], "@out", wide))


def small_as_zero(model: Model, value: str) -> None:
    least, zero = constant(model, "least", np.float32(2.5e-4)), constant(model, "zero", np.float32(0))
    behind(
        model,
        value,
        ("Abs", ["@in"], "size", {}),
        ("Less", ["size", least], "small", {}),
        ("Where", ["small", zero, "@in"], "@out", {}),
    )


def pushed_near_zero(model: Model) -> None:
    """Values near zero are all off by the same small number, in one direction."""
    least, offset = constant(model, "least", np.float32(3e-2)), constant(model, "offset", np.float32(8e-6))
    behind(
        model,
        FINAL,
        ("Abs", ["@in"], "size", {}),
        ("Less", ["size", least], "small", {}),
        ("Add", ["@in", offset], "pushed", {}),
        ("Where", ["small", "pushed", "@in"], "@out", {}),
    )


def scaled(model: Model, value: str, factor: float) -> None:
    behind(model, value, ("Mul", ["@in", constant(model, "factor", np.float32(factor))], "@out", {}))


def softmax_of(model: Model) -> onnx.NodeProto:
    return node(model, f"{LAYER}attention/Softmax")


def over_time(model: Model) -> None:
    """The norm of a convolution's channels taken along time, as an axis of 2 in the place of 1 has it."""
    path = "/feature_extractor/conv_layers.1/layer_norm/"
    norm, turned = node(model, f"{path}LayerNormalization"), node(model, f"{path}Transpose")
    inner = onnx.helper.make_node("InstanceNormalization", [turned.input[0], *norm.input[1:3]], ["along"], epsilon=1e-5)
    model.graph.node.insert(list(model.graph.node).index(turned), inner)
    turned.input[0] = "along"
    replace(model, norm.name, "Identity", [norm.input[0]])


def norm_over_wrong_axes(model: Model) -> None:
    """The weight norm folded as if its norms were those of whole kernels."""

    def fold(w: Array) -> Array:
        right = np.sqrt((w * w).sum(axis=(0, 1), keepdims=True))
        wrong = np.sqrt((w * w).sum(axis=(1, 2), keepdims=True))
        folded: Array = w / wrong * right
        return folded

    set_weight(model, "model.encoder.transformer.pos_conv_embed.conv.weight", fold)


def two_groups(model: Model) -> None:
    """Half the groups: the kernel of each reads twice as many channels, as an attribute off by a factor has it."""
    set_attribute(node(model, "/pos_conv_embed/conv/Conv"), "group", 2)
    set_weight(model, "model.encoder.transformer.pos_conv_embed.conv.weight", lambda w: np.concatenate([w, w], 1))


def set_conv(path: str, **attributes: object) -> Change:
    def apply(model: Model) -> None:
        for name, value in attributes.items():
            set_attribute(node(model, f"{path}/conv/Conv"), name, value)

    return apply


def fast_gelu(model: Model) -> None:
    """The operator that computes GELU by tanh in the place of the one that does not, with the same inputs."""
    (gelus,) = [n for n in model.graph.node if n.op_type == "BiasGelu" and any(LAYER in i for i in n.input)]
    gelus.op_type = "FastGelu"


def quantised(path: Path, _same: Path) -> None:
    """What ONNX Runtime's own tool makes of it: products of whole numbers of eight bits."""
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(path, path.with_name("quantised.onnx"), op_types_to_quantize=["MatMul"])
    path.with_name("quantised.onnx").replace(path)


def dropout(model: Model) -> None:
    """Training mode left on: ONNX Runtime takes the node away at one level, and draws at another."""
    rate, training = constant(model, "rate", np.float32(0.1)), constant(model, "training", np.array(True))
    after(model, f"{LAYER}feed_forward/output_dense/MatMul_output_0", "Dropout", rate, training, seed=5)


def in_both(name: str, change: Change, *stages: str, **options: Any) -> tuple[Fault, Fault]:
    """The same mistake in the export and in what ONNX Runtime made of it."""
    return (
        in_export(EXPORT, name, change, *stages, **options),
        in_export(OPTIMISED, name, change, *stages, **options),
    )


EXPORT_FAULTS: tuple[Fault, ...] = (
    *in_both("key matrix off by 0.1 %", matrix("attention/k_proj", lambda a: a * 1.001), MIDDLE),
    *in_both("matrix in bfloat16", matrix("feed_forward/intermediate_dense", to_bfloat16), MIDDLE),
    *in_both("matrix in float16", matrix("attention/v_proj", lambda a: a.astype(np.float16)), MIDDLE),
    *in_both("matrix in int8", matrix("attention/out_proj", int8), MIDDLE),
    *in_both("attention scores in half precision", scores_in_half, "layer 0"),
    *in_both("epsilon 1e-6 in every norm", epsilons(1e-6), "projection", EVERYWHERE, file=True),
    *in_both("epsilon 1e-12 in every norm", epsilons(1e-12), EVERYWHERE, "projection", file=True),
    *in_both("output bias zeroed", weight("attention.out_proj.bias", np.zeros_like), MIDDLE, file=True),
    *in_both("key bias zeroed", weight("attention.k_proj.bias", np.zeros_like), MIDDLE, file=True),
    *in_both("one element of a bias off by 1e-4", weight("attention.q_proj.bias", one_larger), MIDDLE, file=True),
    *in_both("values below 2.5e-4 set to 0", lambda m: small_as_zero(m, FINAL), OUTPUT),
    *in_both("an offset in one direction near zero", pushed_near_zero, OUTPUT),
    *in_both(
        "biases of two projections exchanged", exchanged("attention.q_proj.bias", "attention.v_proj.bias"), MIDDLE
    ),
    *in_both("attention scale off by 0.01 %", lambda m: scaled(m, softmax_of(m).input[0], 1.0001), MIDDLE),
    *in_both("softmax over another axis", lambda m: set_attribute(softmax_of(m), "axis", 2), MIDDLE),
    *in_both("weight norm over the wrong axes", norm_over_wrong_axes, POSITIONS),
    *in_both("dropout in training mode", dropout, MIDDLE, "optimisation"),
    in_export(EXPORT, "small attention weights set to 0", lambda m: small_as_zero(m, softmax_of(m).output[0]), MIDDLE,
              OUTPUT),
    in_export(EXPORT, "a norm in half precision",
              lambda m: in_half(m, f"{LAYER}layer_norm/LayerNormalization_output_0"), MIDDLE),
    in_export(EXPORT, "GELU by tanh in one layer", gelu("tanh", f"{LAYER}feed_forward"), MIDDLE),
    in_export(OPTIMISED, "GELU by tanh in one layer", fast_gelu, MIDDLE),
    in_export(EXPORT, "group norm's epsilon 1e-6", epsilons(1e-6, ops=("InstanceNormalization",)), EVERYWHERE,
              file=True),
    in_export(EXPORT, "pads of the positional convolution", set_conv("/pos_conv_embed", pads=[7, 9]), POSITIONS),
    in_export(EXPORT, "groups of the positional convolution", two_groups, POSITIONS),
    in_export(EXPORT, "stride of a convolution", set_conv("/feature_extractor/conv_layers.4", strides=[1]),
              "conv block 4", OUTPUT),
    in_export(EXPORT, "dilation of a convolution", set_conv("/feature_extractor/conv_layers.6", dilations=[2]),
              "conv block 6", OUTPUT),
    in_export(EXPORT, "layer norm along another axis", over_time, "conv block 1", encoder="pre-norm"),
    in_export(EXPORT, "scale of the output off by 0.0005 %", lambda m: scaled(m, FINAL, 1.000005), OUTPUT),
    Fault("matrices quantised by ONNX Runtime, export", (EVERYWHERE, "projection", FILE), EXPORT, quantised),
)  # fmt: skip
