"""A graph and its weights side by side: inside a protobuf message these are there a second time, and slow to write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

LARGEST_INSIDE = 256  # elements; above that a constant is a weight. Shapes are inferred from the smaller ones


@dataclass(frozen=True, eq=False)
class WeightedGraph:
    """An ONNX model whose weights lie beside it.

    The model names every initializer, with type and shape; those of ``arrays`` have no values in it. An array is what
    it was given as, most often a tensor of the state dict itself: it must not change until the graph is written.
    """

    model: onnx.ModelProto
    arrays: Mapping[str, NDArray[Any]]

    def proto(self) -> onnx.ModelProto:
        """Make a model of its own with all values inside, as every tool of ONNX takes it."""
        whole = onnx.ModelProto()
        whole.CopyFrom(self.model)
        for tensor in whole.graph.initializer:
            if tensor.name in self.arrays:
                tensor.raw_data = raw_bytes(self.arrays[tensor.name]).tobytes()
        return whole


def raw_bytes(array: NDArray[Any]) -> memoryview:
    """Show an array's bytes as ONNX has them, in C's order and little-endian; where it has them so, without a copy."""
    ordered = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    return ordered.reshape(-1).view(np.uint8).data
