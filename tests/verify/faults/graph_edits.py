"""Edits of an ONNX graph, of which faults are made: whatever exporter wrote it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from tests.verify.faults.fault import Fault, Kind, Port

Model = onnx.ModelProto
Change = Callable[[Model], None]


def in_graph(name: str, *stages: str, port: Port = "onnx", encoder: Kind = "post-norm") -> Callable[[Change], Fault]:
    """A fault that is a change of a graph, whoever wrote that."""

    def fault(change: Change) -> Fault:
        def damage(path: Path, _same: Path) -> None:
            model = onnx.load(path)
            change(model)
            onnx.save(model, path)

        return Fault(name, stages, port, damage, encoder)

    return fault


def node(model: Model, name: str) -> onnx.NodeProto:
    (found,) = [n for n in model.graph.node if n.name == name]
    return found


def nodes(model: Model, op: str) -> list[onnx.NodeProto]:
    return [n for n in model.graph.node if n.op_type == op]


def set_attribute(node: onnx.NodeProto, name: str, value: object) -> None:
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def constant(model: Model, name: str, value: object) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def set_weight(model: Model, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    (tensor,) = [t for t in model.graph.initializer if t.name == name]
    changed = change(numpy_helper.to_array(tensor).copy())
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(changed), name))


def every_weight(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    def apply(model: Model) -> None:
        for tensor in list(model.graph.initializer):
            array = numpy_helper.to_array(tensor)
            if array.dtype.kind == "f" and array.size > 1:
                set_weight(model, tensor.name, lambda a: change(a).astype(a.dtype))

    return apply


def after(model: Model, value: str, op: str, *inputs: str, **attributes: object) -> None:
    """Put an operator behind the one that computes ``value``; everybody reads its result."""
    (producer,) = [n for n in model.graph.node if value in n.output]
    place = list(model.graph.node).index(producer) + 1
    is_output = value in [o.name for o in model.graph.output]
    inner = f"{value}/before"
    if is_output:
        producer.output[list(producer.output).index(value)] = inner
        added = helper.make_node(op, [inner, *inputs], [value], name=f"{value}/{op}", **attributes)
    else:
        for n in model.graph.node:
            n.input[:] = [f"{value}/after" if name == value else name for name in n.input]
        added = helper.make_node(op, [value, *inputs], [f"{value}/after"], name=f"{value}/{op}", **attributes)
    model.graph.node.insert(place, added)


def bypass(model: Model, name: str, keep: int = 0) -> None:
    """Take a node away: its readers get one of its inputs."""
    gone = node(model, name)
    for n in model.graph.node:
        n.input[:] = [gone.input[keep] if value == gone.output[0] else value for value in n.input]
    model.graph.node.remove(gone)


def replace(model: Model, name: str, op: str, inputs: list[str], **attributes: object) -> None:
    old = node(model, name)
    new = helper.make_node(op, inputs, list(old.output), name=f"{name}/{op}", **attributes)
    place = list(model.graph.node).index(old)
    model.graph.node.remove(old)
    model.graph.node.insert(place, new)


def gelu(op: str, only: str = "") -> Change:
    """x·(1 + f(x))/2 with another f in the place of erf(x/√2): "relu", "sigmoid" or "tanh"."""

    def change(model: Model) -> None:
        for erf in nodes(model, "Erf"):
            if only not in erf.name:
                continue
            (div,) = [n for n in model.graph.node if erf.input[0] in n.output]
            x, path = div.input[0], erf.name
            if op == "relu":  # 1 + sign(x): x·(1 + sign(x))/2 is max(x, 0)
                replace(model, path, "Sign", [x])
                continue
            if op == "sigmoid":  # x·sigmoid(1.702·x), which is x·(1 + tanh(0.851·x))/2
                replace(model, div.name, "Mul", [x, constant(model, f"{path}/q", np.float32(0.851))])
                replace(model, path, "Tanh", list(erf.input))
                continue
            c = [constant(model, f"{path}/{n}", np.float32(v)) for n, v in (("a", 0.044715), ("b", 0.7978845608))]
            place = list(model.graph.node).index(div) + 1
            steps = [("Mul", [x, x], "xx"), ("Mul", [f"{path}/xx", x], "xxx"), ("Mul", [f"{path}/xxx", c[0]], "ax"),
                     ("Add", [x, f"{path}/ax"], "s"), ("Mul", [f"{path}/s", c[1]], "bs")]  # fmt: skip
            for i, (kind, inputs, output) in enumerate(steps):
                model.graph.node.insert(place + i, helper.make_node(kind, inputs, [f"{path}/{output}"]))
            replace(model, path, "Tanh", [f"{path}/bs"])

    return change


def to_bfloat16(array: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return ((bits + 0x8000) & 0xFFFF0000).view(np.float32)


def int8(array: np.ndarray) -> np.ndarray:
    scale = np.abs(array).max() / 127 or 1.0
    return np.round(array / scale) * scale


def ten_bits(array: np.ndarray) -> np.ndarray:
    """Mantissas of ten bits, as tensor cores have them."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return ((bits + 0x1000) & 0xFFFFE000).view(np.float32)
