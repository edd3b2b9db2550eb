"""Mistakes in an ONNX graph: operators with other constants, missing nodes, outputs of something else."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper
from tests.verify.faults.fault import BATCH, OUTPUT, Fault
from tests.verify.faults.graph_edits import (
    Change,
    Model,
    after,
    bypass,
    constant,
    every_weight,
    gelu,
    in_graph,
    int8,
    node,
    set_attribute,
    set_weight,
    ten_bits,
    to_bfloat16,
)

MIDDLE = "/encoder/transformer/layers.1"
FINAL = "embeddings"
EVERYWHERE = "conv block 0"


def bypass_norm(model: Model, path: str) -> None:
    """The same for a layer norm, from the subtraction of the mean to the addition of the bias."""
    last = node(model, f"{path}/Add")
    last.input[0] = node(model, f"{path}/Sub").input[0]
    bypass(model, last.name)


def epsilon(value: float, only: str = "") -> Change:
    """In the layer norms, which are written step by step."""

    def change(model: Model) -> None:
        for n in model.graph.node:
            if n.name.endswith("layer_norm/variance/Add") and only in n.name:
                n.input[1] = another_epsilon(model, n, value)

    return change


def group_epsilon(value: float) -> Change:
    def change(model: Model) -> None:
        added = node(model, "/feature_extractor/conv_layers.0/layer_norm/Add")
        added.input[1] = another_epsilon(model, added, value)

    return change


def another_epsilon(model: Model, added: onnx.NodeProto, value: float) -> str:
    """A constant for the place of the one that is added to a variance, in its type."""
    (now,) = (tensor for tensor in model.graph.initializer if tensor.name == added.input[1])
    kind = onnx.helper.tensor_dtype_to_np_dtype(now.data_type)
    return constant(model, f"changed_epsilon_{kind}", kind.type(value))


def shifted_output(model: Model) -> None:
    """The first frame twice, the last one lost: the same number of frames, off by one."""
    first = [constant(model, f"f{i}", np.array([v], np.int64)) for i, v in enumerate((0, 1, 1))]
    rest = [constant(model, f"r{i}", np.array([v], np.int64)) for i, v in enumerate((0, -1, 1))]
    (producer,) = [n for n in model.graph.node if FINAL in n.output]
    producer.output[0] = "right"
    model.graph.node.extend([
        helper.make_node("Slice", ["right", first[0], first[1], first[2]], ["first"]),
        helper.make_node("Slice", ["right", rest[0], rest[1], first[2]], ["rest"]),
        helper.make_node("Concat", ["first", "rest"], [FINAL], axis=1),
    ])  # fmt: skip


def slice_output(start: int, end: int, step: int, axis: int) -> Change:
    def change(model: Model) -> None:
        names = ("start", "end", "axis", "step")
        numbers = [
            constant(model, f"slice_{name}", np.array([value], np.int64))
            for name, value in zip(names, (start, end, axis, step), strict=True)
        ]
        after(model, FINAL, "Slice", *numbers)

    return change


def nan_in_a_frame(model: Model) -> None:
    place = constant(model, "place", np.array([[0, 7, 3]], np.int64))
    value = constant(model, "nan", np.array([np.nan], np.float32))
    after(model, FINAL, "ScatterND", place, value)


def frozen(batch: int | str, samples: int | str) -> Change:
    """Fixed axes in the declared input, as an export without dynamic axes has."""

    def change(model: Model) -> None:
        for dim, value in zip(model.graph.input[0].type.tensor_type.shape.dim, (batch, samples), strict=True):
            if isinstance(value, int):
                dim.dim_value = value

    return change


def dropout_on(model: Model) -> None:
    """A tenth of the values dropped; as plain operators, because ONNX Runtime takes a Dropout node away."""
    value = f"{MIDDLE}/feed_forward/output_dense/Gemm"
    after(model, value, "Mul", "mask")
    place = list(model.graph.node).index(node(model, value)) + 1
    steps = [helper.make_node("RandomUniformLike", [value], ["random"], seed=3.0),
             helper.make_node("Greater", ["random", constant(model, "ratio", np.float32(0.1))], ["kept"]),
             helper.make_node("Cast", ["kept"], ["mask"], to=1)]  # fmt: skip
    for i, step in enumerate(steps):
        model.graph.node.insert(place + i, step)


def causal(model: Model) -> None:
    """Scores of later frames are pushed down, as in a decoder."""
    scores = f"{MIDDLE}/attention/scores/MatMul"
    readers = [n for n in model.graph.node if scores in n.input]
    low = constant(model, "low", np.float32(-1e4))
    place = list(model.graph.node).index(node(model, scores)) + 1
    steps = [("Mul", [scores, constant(model, "zero", np.float32(0))], "zeros"), ("Add", ["zeros", low], "lows"),
             ("Trilu", ["lows", constant(model, "one_int", np.int64(1))], "mask"),
             ("Add", [scores, "mask"], "masked")]  # fmt: skip
    for i, (op, inputs, output) in enumerate(steps):
        model.graph.node.insert(place + i, helper.make_node(op, inputs, [output]))
    for reader in readers:
        reader.input[:] = ["masked" if name == scores else name for name in reader.input]


def unshared_heads(model: Model) -> None:
    """Heads are put together as [head, frames, dim] without going back to frames first."""
    bypass(model, f"{MIDDLE}/attention/Transpose")


def reversed_groups(model: Model) -> None:
    """The groups of the positional convolution in reverse: its inputs and outputs do not belong together."""
    name = "encoder.transformer.pos_conv_embed.conv.weight"
    set_weight(model, name, lambda w: w.reshape(4, -1, *w.shape[1:])[::-1].reshape(w.shape))


def pads(left: int, right: int) -> Change:
    return lambda m: set_weight(m, "positions_padding", lambda pad: np.array([0, 0, left, 0, 0, right], pad.dtype))


def scores_scaled(factor: float) -> Change:
    return lambda m: set_weight(m, "attention_scale", lambda s: (s * 0 + factor).astype(np.float32))


def batch_reversed(model: Model) -> None:
    numbers = [constant(model, f"b{i}", np.array([v], np.int64)) for i, v in enumerate((-1, -(2**31), 0, -1))]
    after(model, FINAL, "Slice", *numbers)


def normalised_input(model: Model) -> None:
    """Zero mean and unit variance inside the graph as well, for callers who do that already."""
    epsilon_name = constant(model, "tiny", np.float32(1e-5))
    mean = helper.make_node("ReduceMean", ["waveform"], ["mean"], axes=[1])
    steps = [mean, helper.make_node("Sub", ["waveform", "mean"], ["centred"]),
             helper.make_node("Mul", ["centred", "centred"], ["square"]),
             helper.make_node("ReduceMean", ["square"], ["variance"], axes=[1]),
             helper.make_node("Add", ["variance", epsilon_name], ["floored"]),
             helper.make_node("Sqrt", ["floored"], ["deviation"]),
             helper.make_node("Div", ["centred", "deviation"], ["normalised"])]  # fmt: skip
    for n in model.graph.node:
        n.input[:] = ["normalised" if name == "waveform" and n.op_type != "Shape" else name for name in n.input]
    for i, step in enumerate(steps):
        model.graph.node.insert(i, step)


def on_input(op: str, *values: float) -> Change:
    """An operator with these numbers before everything else."""

    def change(model: Model) -> None:
        for n in model.graph.node:
            if n.op_type != "Shape":
                n.input[:] = ["changed" if value == "waveform" else value for value in n.input]
        numbers = [constant(model, f"input_{i}", np.float32(value)) for i, value in enumerate(values)]
        model.graph.node.insert(0, helper.make_node(op, ["waveform", *numbers], ["changed"]))

    return change


def half_output(model: Model) -> None:
    """The output's declared and real type is float16."""
    (producer,) = [n for n in model.graph.node if FINAL in n.output]
    producer.output[0] = "single"
    model.graph.node.append(helper.make_node("Cast", ["single"], [FINAL], to=onnx.TensorProto.FLOAT16))
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16


def other_output(name: str) -> Change:
    """Another node's output, rounded to float32, in the place of the last norm's."""

    def change(model: Model) -> None:
        last = node(model, "/embeddings/Reshape")
        (place,) = [i for i, n in enumerate(model.graph.node) if n.name == last.name]
        other = node(model, name).output[0]
        model.graph.node.insert(place, helper.make_node("Cast", [other], ["other"], to=onnx.TensorProto.FLOAT))
        last.input[0] = "other"

    return change


POSITIONS = "positional convolution"
GRAPH_FAULTS: tuple[Fault, ...] = (
    in_graph("GELU as tanh", EVERYWHERE)(gelu("tanh")),
    in_graph("GELU as ReLU", EVERYWHERE)(gelu("relu")),
    in_graph("GELU as x·sigmoid(1.702·x)", EVERYWHERE)(gelu("sigmoid")),
    in_graph("GELU as tanh in one layer", "layer 1")(gelu("tanh", "transformer/layers.1/")),
    in_graph("GELU missing in the last convolution", "conv block 6")(
        lambda m: bypass(m, "/feature_extractor/conv_layers.6/gelu/Mul")
    ),
    in_graph("layer norm epsilon 1e-12", "projection")(epsilon(1e-12)),
    in_graph("layer norm epsilon 1e-6", "projection")(epsilon(1e-6)),
    in_graph("layer norm epsilon 1e-3", "projection")(epsilon(1e-3)),
    in_graph("layer norm epsilon 1e-3 in one layer", "layer 1")(epsilon(1e-3, f"{MIDDLE}/layer_norm")),
    in_graph("group norm epsilon 1e-3", EVERYWHERE)(group_epsilon(1e-3)),
    in_graph("group norm not centred", EVERYWHERE)(lambda m: bypass(m, "/feature_extractor/conv_layers.0/conv/Sub")),
    in_graph("norm of one layer missing", "layer 1")(lambda m: bypass_norm(m, f"{MIDDLE}/layer_norm")),
    in_graph("last layer norm missing", "last layer norm", OUTPUT, encoder="pre-norm")(
        lambda m: bypass_norm(m, "/encoder/transformer/layer_norm")
    ),
    in_graph("norm before the positions missing", POSITIONS)(
        lambda m: bypass_norm(m, "/encoder/transformer/layer_norm")
    ),
    in_graph("residual of a layer missing", "layer 1")(lambda m: bypass(m, f"{MIDDLE}/attended/Add", keep=1)),
    in_graph("positions not added", POSITIONS)(lambda m: bypass(m, "/encoder/transformer/Add")),
    in_graph("attention scale missing", "layer 0")(scores_scaled(1.0)),
    in_graph("attention scaled twice", "layer 0")(scores_scaled(1 / 6)),
    in_graph("softmax over the wrong axis", "layer 1")(
        lambda m: set_attribute(node(m, f"{MIDDLE}/attention/Softmax"), "axis", -2)
    ),
    in_graph("causal attention", "layer 1")(causal),
    in_graph("heads put together wrongly", "layer 1")(unshared_heads),
    in_graph("positional convolution unpadded", POSITIONS)(pads(0, 15)),
    in_graph("positional convolution padded on the other side", POSITIONS)(pads(7, 8)),
    in_graph("positional groups reversed", POSITIONS)(reversed_groups),
    in_graph("positional convolution off by one frame", POSITIONS)(pads(9, 6)),
    in_graph("a convolution padded", "conv block 3")(
        lambda m: set_attribute(node(m, "/feature_extractor/conv_layers.3/conv/Conv"), "pads", [0, 1, 0, 1])
    ),
    in_graph("stride of a convolution off by one", "conv block 4")(
        lambda m: set_attribute(node(m, "/feature_extractor/conv_layers.4/conv/Conv"), "strides", [1, 1])
    ),
    in_graph("kernel of a convolution turned round", "conv block 6")(
        lambda m: set_weight(m, "feature_extractor.conv_layers.6.conv.weight", lambda a: a[..., ::-1])
    ),
    in_graph("conv bias ignored in the graph", "conv block 2", encoder="pre-norm")(
        lambda m: node(m, "/feature_extractor/conv_layers.2/conv/Conv").input.__delitem__(2)
    ),
    in_graph("layer norm of a convolution missing", "conv block 1", encoder="pre-norm")(
        lambda m: bypass_norm(m, "/feature_extractor/conv_layers.1/layer_norm")
    ),
    in_graph("waveform normalised twice", EVERYWHERE)(normalised_input),
    in_graph("waveform as 16-bit numbers", EVERYWHERE)(on_input("Mul", 32768.0)),
    in_graph("waveform clipped at full scale", EVERYWHERE, "level")(on_input("Clip", -1.0, 1.0)),
    in_graph("waveform 0.1 % too quiet", EVERYWHERE, OUTPUT)(on_input("Mul", 0.999)),
    in_graph("query bias dropped", "layer 1")(
        lambda m: node(m, f"{MIDDLE}/attention/q_proj/Gemm").input.__delitem__(2)
    ),
    in_graph("one weight used for two layers", "layer 1")(
        lambda m: node(m, f"{MIDDLE}/feed_forward/intermediate_dense/Gemm").input.__setitem__(
            1, "encoder.transformer.layers.0.feed_forward.intermediate_dense.weight"
        )
    ),
    in_graph("graph weights in half precision", EVERYWHERE)(every_weight(lambda a: a.astype(np.float16))),
    in_graph("graph weights in bfloat16", EVERYWHERE)(every_weight(to_bfloat16)),
    in_graph("graph weights with ten bits", EVERYWHERE)(every_weight(ten_bits)),
    in_graph("graph weights in int8", EVERYWHERE)(every_weight(int8)),
    in_graph("dropout left on", "layer 1")(dropout_on),
    in_graph("wrong layer as output", OUTPUT, "layer 2")(other_output(f"{MIDDLE}/final_layer_norm/Add")),
    in_graph("output before the last norm", OUTPUT, "layer 2")(other_output("/encoder/transformer/layers.2/Add")),
    in_graph("output in half precision", OUTPUT)(half_output),
    in_graph("NaN in one frame", OUTPUT)(nan_in_a_frame),
    in_graph("output reversed in time", OUTPUT)(slice_output(-1, -(2**31), -1, 1)),
    in_graph("output off by one frame", OUTPUT)(shifted_output),
    in_graph("a frame too few", OUTPUT)(slice_output(0, -1, 1, 1)),
    in_graph("embeddings scaled by 1.0001", OUTPUT)(
        lambda m: after(m, FINAL, "Mul", constant(m, "factor", np.float32(1.0001)))
    ),
    in_graph("batch mixed up", BATCH)(batch_reversed),
    in_graph("batch frozen", BATCH)(frozen(1, "samples")),
    in_graph("length frozen", OUTPUT)(frozen("batch", 16000)),
)
