"""Running an ONNX port in ONNX Runtime, on the CPU, in this very process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line, listed, printable
from aves_artifacts.bundle.graph_contract import EMBEDDINGS, LOGITS, is_layer
from aves_verify.backends.backend import Embeddings, GraphFacts, RunError

_LEVELS = {
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}

_EXPECTED = "expected a graph with the input waveform [batch, samples] float32, as aves-convert writes"


_BESIDE = (LOGITS, EMBEDDINGS)  # what other outputs than the first may be, beside layers


class OnnxSession:
    """An ONNX file from anywhere; its first input is the waveform, its first output the final embeddings.

    Others are known by their names: ``layer.0`` … and ``logits``.
    """

    def __init__(self, path: Path, *, threads: int | None = None, optimisation: str = "all") -> None:
        """Load ``path`` with one of ONNX Runtime's levels of optimisation, by default as it does itself.

        Raises InputError for what is no such graph.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = _LEVELS[optimisation]
        # Else the second clip of a length has its arrays laid out anew, beside what the first took: 1.6 times as much.
        options.enable_mem_pattern = False
        # Threads that wait in a busy loop are in the way of the others' models, and win nothing here: measured.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common base but Exception
            raise InputError(f"{path}: ONNX Runtime cannot load it ({first_line(error)}); {_EXPECTED}") from None
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 2:
            found = listed([printable(f"{i.name} {i.type} {i.shape}") for i in inputs], 3)
            raise InputError(f"{path}: inputs are {found}; {_EXPECTED}")
        self.path = path
        self._input: str = inputs[0].name
        self._outputs: list[str] = [output.name for output in self._session.get_outputs()]
        about = self._session.get_modelmeta()
        others = self._outputs[1:]
        self.facts = GraphFacts(
            version=onnxruntime.__version__,
            metadata=dict(about.custom_metadata_map),
            gives_layers=any(map(is_layer, others)),
            unknown_outputs=tuple(name for name in others if name not in _BESIDE and not is_layer(name)),
        )

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
        """See ``Backend.run``. Raises InputError where layers are wanted and the file gives only the last."""
        names = {"final": self._outputs[0]}
        if layers:
            names |= {name: name for name in self._outputs[1:] if is_layer(name)}
            if len(names) == 1:
                raise InputError(
                    f"{self.path}: gives only the last layer",
                    hint="write it with {layers} all, or compare with {layers} last",
                )
        names |= {name: name for name in self._outputs[1:] if name in _BESIDE}
        try:
            values = self._session.run(list(names.values()), {self._input: np.ascontiguousarray(waveform)})
        except Exception as error:  # as above
            shape = list(waveform.shape)
            raise RunError(f"{self.path}: ONNX Runtime fails on a waveform {shape}: {first_line(error)}") from None
        return dict(zip(names, values, strict=True))


_SESSIONS: dict[int, OnnxSession] = {}


def opened(path: Path, threads: int | None, optimisation: str, beside: bool) -> tuple[int, GraphFacts]:
    """Load a graph and keep it, ``beside`` others or instead; return the number that it goes by. Raises InputError."""
    if not beside:
        _SESSIONS.clear()
    session = OnnxSession(path, threads=threads, optimisation=optimisation)
    _SESSIONS[len(_SESSIONS)] = session
    return len(_SESSIONS) - 1, session.facts


def run(number: int, waveform: NDArray[np.float32], layers: bool) -> Embeddings:
    """Run the graph of this number, see ``Backend.run``."""
    return _SESSIONS[number].run(waveform, layers=layers)
