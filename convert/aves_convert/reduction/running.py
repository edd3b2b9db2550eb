"""Running graphs in ONNX Runtime, from memory or from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from aves_convert.graph_files.weighted import WeightedGraph

Floats = NDArray[np.float32]
VERSION: str = onnxruntime.__version__
_ERRORS = 3  # of its log: a graph that is searched has no news for anybody


class Running:
    """A loaded graph with one output."""

    def __init__(self, graph: WeightedGraph | Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS
        source = str(graph) if isinstance(graph, Path) else graph.proto().SerializeToString()
        self._session: Any = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self._inputs = {value.name for value in self._session.get_inputs()}

    def __call__(self, given: Mapping[str, Floats]) -> Floats:
        """Run it; what it has no input for is left aside."""
        (found,) = self._session.run(None, {name: value for name, value in given.items() if name in self._inputs})
        return np.asarray(found)
