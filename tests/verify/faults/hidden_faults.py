"""Mistakes that ordinary sounds do not show: wrong where nobody looks, or the second time, or in another output."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper
from tests.verify.faults.fault import BATCH, FILE, OUTPUT, Fault
from tests.verify.faults.graph_edits import Change, Model, constant, in_graph, nodes

Node = onnx.NodeProto
FINAL = "embeddings"
LAYER = "encoder.transformer.layers.1."
Condition = Callable[[Model], list[Node]]


def _renamed_output(model: Model, name: str) -> None:
    for n in model.graph.node:
        n.input[:] = [name if value == FINAL else value for value in n.input]
        n.output[:] = [name if value == FINAL else value for value in n.output]


def wrong_where(condition: Condition) -> Change:
    """The embeddings times 1.5 where the nodes, which read the waveform, give ``condition``."""

    def change(model: Model) -> None:
        _renamed_output(model, "right")
        for step in reversed(condition(model)):
            model.graph.node.insert(0, step)
        worse, same = constant(model, "worse", np.float32(1.5)), constant(model, "same", np.float32(1))
        model.graph.node.append(helper.make_node("Where", ["condition", worse, same], ["chosen"]))
        model.graph.node.append(helper.make_node("Mul", ["right", "chosen"], [FINAL]))

    return change


def size_over(axis: int, limit: int) -> Condition:
    def steps(model: Model) -> list[Node]:
        place, most = constant(model, "axis", np.int64(axis)), constant(model, "limit", np.int64(limit))
        return [
            helper.make_node("Shape", ["waveform"], ["sizes"]),
            helper.make_node("Gather", ["sizes", place], ["size"], axis=0),
            helper.make_node("Greater", ["size", most], ["condition"]),
        ]

    return steps


def reduced(op: str, limit: float, *, below: bool = False) -> Condition:
    def steps(model: Model) -> list[Node]:
        most = constant(model, "limit", np.float32(limit))
        compared = ["limit", "value"] if below else ["value", most]
        return [
            helper.make_node(op, ["waveform"], ["value"], keepdims=0),
            helper.make_node("Greater", compared, ["condition"]),
        ]

    return steps


def quiet(model: Model) -> list[Node]:
    """Below 1e-4, and not silent."""
    most, nothing = constant(model, "limit", np.float32(2e-2)), constant(model, "nothing", np.float32(0))
    return [
        helper.make_node("ReduceL2", ["waveform"], ["value"], keepdims=0),
        helper.make_node("Greater", [most, "value"], ["low"]),
        helper.make_node("Greater", ["value", nothing], ["audible"]),
        helper.make_node("And", ["low", "audible"], ["condition"]),
    ]


def noisy(model: Model) -> None:
    """Noise far below the tolerance: a second run gives other numbers."""
    _renamed_output(model, "right")
    model.graph.node.append(helper.make_node("RandomUniformLike", ["right"], ["noise"], high=1e-6, low=-1e-6, seed=7.0))
    model.graph.node.append(helper.make_node("Add", ["right", "noise"], [FINAL]))


def dropped_at_one_level(model: Model) -> None:
    """Dropout in training mode at the very end, which the runtime takes away by default."""
    _renamed_output(model, "right")
    rate, training = constant(model, "rate", np.float32(0.5)), constant(model, "training", np.array(True))
    model.graph.node.append(helper.make_node("Dropout", ["right", rate, training], ["dropped"], seed=3))
    model.graph.node.append(helper.make_node("Identity", ["dropped"], [FINAL]))


def without_epsilon(model: Model) -> None:
    """The norms of one layer, in single operators: the root is taken of the variance as it is."""
    for added in nodes(model, "Add"):
        if added.name.endswith("layer_norm/variance/Add") and "layers.1" in added.name:
            for root in nodes(model, "Sqrt"):
                root.input[:] = [added.input[0] if name == added.output[0] else name for name in root.input]


def unread(tensor: str, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """A tensor stays in the file under its name, and another one is used."""

    def apply(model: Model) -> None:
        (held,) = [t for t in model.graph.initializer if t.name == tensor]
        other = constant(model, "instead", change(onnx.numpy_helper.to_array(held).copy()))
        for n in model.graph.node:
            n.input[:] = [other if name == tensor else name for name in n.input]

    return apply


def exchanged_biases(model: Model) -> None:
    """Two biases of one shape in each other's place, where the nodes read them."""
    q, k = f"{LAYER}attention.q_proj.bias", f"{LAYER}attention.k_proj.bias"
    for n in model.graph.node:
        n.input[:] = [{q: k, k: q}.get(name, name) for name in n.input]


def conv_groups(model: Model) -> None:
    """Two groups in the place of four; the kernel of each reads its channels twice."""
    for conv in nodes(model, "Conv"):
        for attribute in conv.attribute:
            if attribute.name == "group" and attribute.i > 1:
                attribute.i = 2
                inner = conv.input[1]
                (place,) = [i for i, n in enumerate(model.graph.node) if n.name == conv.name]
                model.graph.node.insert(place, helper.make_node("Concat", [inner, inner], ["twice"], axis=1))
                conv.input[1] = "twice"
                return


def exchanged_layers(model: Model) -> None:
    other = {"layer.0": "layer.1", "layer.1": "layer.0"}
    for n in model.graph.node:
        n.input[:] = [other.get(name, name) for name in n.input]
        n.output[:] = [other.get(name, name) for name in n.output]


def layer_twice(model: Model) -> None:
    """One layer's output given as another's."""
    for n in model.graph.node:
        n.input[:] = ["unused" if name == "layer.1" else name for name in n.input]
        n.output[:] = ["unused" if name == "layer.1" else name for name in n.output]
    model.graph.node.append(helper.make_node("Identity", ["layer.0"], ["layer.1"]))


def second_output(model: Model) -> None:
    """The first output is right and called something else; the one that users ask for by name is wrong."""
    _renamed_output(model, "features")
    model.graph.output[0].name = "features"
    factor = constant(model, "factor", np.float32(2))
    model.graph.node.append(helper.make_node("Mul", ["features", factor], [FINAL]))
    model.graph.output.add().CopyFrom(model.graph.output[0])
    model.graph.output[-1].name = FINAL


HIDDEN_FAULTS: tuple[Fault, ...] = (
    in_graph("wrong beyond 1,024 frames", "length", OUTPUT)(wrong_where(size_over(1, 1024 * 320 + 400))),
    in_graph("wrong in batches of four and more", BATCH)(wrong_where(size_over(0, 3))),
    in_graph("wrong below a level", "level", OUTPUT)(wrong_where(quiet)),
    in_graph("wrong above ±20", "level", OUTPUT)(wrong_where(reduced("ReduceMax", 20.0))),
    in_graph("wrong above ±100,000", FILE)(wrong_where(reduced("ReduceMax", 1e5))),
    in_graph("no epsilon in the norms of a layer", "layer 1", FILE)(without_epsilon),
    in_graph("wrong from an offset of 0.3 on", "offset", OUTPUT)(wrong_where(reduced("ReduceMean", 0.3))),
    in_graph("wrong below an offset of -0.3", "offset", OUTPUT)(wrong_where(reduced("ReduceMean", -0.3, below=True))),
    in_graph("noise on a second run", "second run", OUTPUT)(noisy),
    in_graph("dropout at another optimisation level", "optimisation", OUTPUT)(dropped_at_one_level),
    in_graph("an initializer that nothing reads", "layer 1", FILE)(
        unread(f"{LAYER}attention.k_proj.bias", np.zeros_like)
    ),
    in_graph("a matrix beside the one that is used", "layer 1")(
        unread(f"{LAYER}feed_forward.output_dense.weight", lambda a: a * np.float32(1.0005))
    ),
    in_graph("biases of query and key exchanged", "layer 1")(exchanged_biases),
    in_graph("groups of the positional convolution", "positional convolution")(conv_groups),
    in_graph("two layers exchanged, all layers", OUTPUT, port="onnx, all layers")(exchanged_layers),
    in_graph("a layer given twice, all layers", OUTPUT, port="onnx, all layers")(layer_twice),
    in_graph("a second output called embeddings", OUTPUT)(second_output),
)
