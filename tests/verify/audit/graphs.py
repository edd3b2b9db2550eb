"""Graphs of a few nodes, to be looked into."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

node = helper.make_node


def model(
    nodes: Sequence[onnx.NodeProto], outputs: Sequence[str] = ("y",), opset: int = 17, **weights: Any
) -> onnx.ModelProto:
    """A graph from a waveform ``x`` [batch, samples]."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "samples"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    )
    made.ir_version = 10
    return made


def saved(folder: Path, made: onnx.ModelProto) -> Path:
    path = folder / "g.onnx"
    onnx.save(made, path)
    return path
