"""Cutting a part out of a graph: what lies between two of its values, as a graph of its own."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from aves_convert.graph_files.weighted import WeightedGraph


def part_of(graph: WeightedGraph, start: str, end: str) -> WeightedGraph:
    """Cut out what computes ``end`` from ``start``, a float32 value; weights are not copied.

    Its inputs are ``start`` and those of the graph's own that are needed too, such as for a shape.
    Raises ValueError where ``end`` does not come from ``start``.
    """
    model = graph.model
    makers = {output: node for node in model.graph.node for output in node.output}
    known = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name for value in model.graph.input}
    seen, todo = {start}, [end]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += makers[name].input if name in makers else ()
    nodes = [node for node in model.graph.node if node.output[0] in seen - {start}]
    if end == start or not any(start in node.input for node in nodes):
        raise ValueError(f"{end} does not come from {start}")
    cut = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    cut.graph.name = f"{model.graph.name}_part"
    cut.graph.node.extend(nodes)
    cut.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in seen & known)
    cut.graph.input.extend(value for value in model.graph.input if value.name in seen & inputs)
    if start not in inputs:
        cut.graph.input.append(helper.make_tensor_value_info(start, TensorProto.FLOAT, None))
    cut.graph.output.append(helper.make_tensor_value_info(end, TensorProto.FLOAT, None))
    return WeightedGraph(cut, {name: array for name, array in graph.arrays.items() if name in seen})
