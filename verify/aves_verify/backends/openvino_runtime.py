"""Running an ONNX port in OpenVINO, in this very process, on the device and in the precision that are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line, listed, printable
from aves_artifacts.bundle.graph_contract import is_waveform
from aves_artifacts.bundle.outputs import GraphOutputs
from aves_artifacts.encoder import EncoderConfig
from aves_verify.backends.backend import Embeddings, Given, RunError, check_threads, with_axes
from aves_verify.backends.separate import About

_SEVERAL = ("AUTO", "HETERO", "MULTI")  # devices that pass the work on to others
_FLOATS = ("f64", "f32", "f16", "bf16")
_ONE_FRAME, _APART = "inputs of one frame", "in a compiled model of their own"
_EXPECTED = "expected a graph with the input waveform [batch, samples] float32, as aves-convert writes"


def load(given: Given) -> OpenvinoSession:
    """Load a graph as the options say. Raises InputError."""
    return OpenvinoSession(given.path, given.options, given.config)


def check(options: Mapping[str, str]) -> None:
    """Raise InputError for a device or a precision that there is not."""
    _device(openvino.Core(), options["device"])
    if options["precision"] not in _FLOATS[1:]:
        raise InputError(
            f"OpenVINO computes in {', '.join(_FLOATS[1:])}, not in {printable(options['precision'])}",
            hint="give one of them with {openvino_precision}",
        )
    check_threads("OpenVINO", options["threads"])


class OpenvinoSession:
    """An ONNX file from anywhere; its first input is the waveform, its first output the final embeddings.

    Others are known by their names, such as ``layer.0`` and ``logits``; see ``GraphOutputs``.
    """

    version: str = openvino.__version__

    def __init__(self, path: Path, options: Mapping[str, str], config: EncoderConfig | None = None) -> None:
        """Read and compile ``path``; with a ``config`` it is known which inputs are of one frame. Raises InputError."""
        self.path, self._config, core = path, config, openvino.Core()
        device = _device(core, options["device"])
        # By itself it computes in fewer bits where the device has instructions for them.
        hints: dict[str, Any] = {"INFERENCE_PRECISION_HINT": options["precision"]}
        if options["threads"]:
            hints["INFERENCE_NUM_THREADS"] = int(options["threads"])
        self._compile = partial(core.compile_model, path, device, hints)
        self._of_one_frame: openvino.CompiledModel | None = None  # once there is such an input
        try:
            model = core.read_model(path)
            self._compiled = core.compile_model(model, device, hints)
        except Exception as error:  # OpenVINO raises RuntimeError, and whatever its parts raise
            raise InputError(f"{path}: OpenVINO cannot load it ({_said(error)}); {_EXPECTED}") from None
        inputs = self._compiled.inputs
        if len(inputs) != 1 or inputs[0].element_type != openvino.Type.f32 or not _takes_waveforms(inputs[0]):
            found = listed([printable(f"{i.any_name} {i.element_type} {i.partial_shape}") for i in inputs], 3)
            raise InputError(f"{path}: inputs are {found}; {_EXPECTED}")
        shape = inputs[0].partial_shape
        self._axes = len(shape)
        self._fixed = None if shape.is_dynamic else (shape[0].get_length(), shape[-1].get_length())
        self._outputs = GraphOutputs(
            _names(self._compiled.outputs), None if config is None else config.encoder_num_layers
        )
        name = core.get_property(device.partition(":")[0], "FULL_DEVICE_NAME")
        self._settings = {
            "device": device if name == device else f"{device} ({printable(name)})",
            "inference precision": options["precision"],
            **_computed(model, self._compiled),
        }

    @property
    def facts(self) -> About:
        """How it runs here; OpenVINO tells nothing of what the file says of itself."""
        return About(
            version=self.version,
            settings={**self._settings, **({_ONE_FRAME: _APART} if self._of_one_frame else {})},
            gives_layers=self._outputs.give_layers,
            outputs=tuple(self._outputs.called),
            unknown_outputs=self._outputs.unknown,
            fixed_shape=self._fixed,
        )

    def _model_for(self, samples: int) -> openvino.CompiledModel:
        """The compiled model for waveforms of this length.

        One whose first input was of one frame gives nonsense for longer ones from then on, whatever wrote the graph:
        inputs of one frame and the others never meet in one model.
        """
        if self._config is None or self._fixed is not None or self._config.frames(samples) != 1:
            return self._compiled
        if self._of_one_frame is None:
            self._of_one_frame = self._compile()
        return self._of_one_frame

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
        """See ``Encoder.run``. Raises InputError where layers are wanted and the file gives only the last."""
        names = self._outputs.wanted(self.path, layers=layers)
        try:
            found = self._model_for(waveform.shape[1])([with_axes(waveform, self._axes)])
        except Exception as error:  # as above
            shape = list(waveform.shape)
            raise RunError(f"{self.path}: OpenVINO fails on a waveform {shape}: {_said(error)}") from None
        values = {name: found[i] for i, name in enumerate(self._outputs.names)}
        return {called: np.array(values[name]) for called, name in names.items()}  # its own arrays are used again


def _device(core: openvino.Core, asked: str) -> str:
    """The device as OpenVINO calls it. Raises InputError where there is none of this name here."""
    device, first = asked.upper(), asked.upper().partition(":")[0]
    if first in _SEVERAL or device in core.available_devices or first in core.available_devices:
        return device
    raise InputError(
        f"OpenVINO {openvino.__version__} has no device {printable(asked)} here; it has "
        f"{', '.join(core.available_devices)}",
        hint="give one of them with {openvino_device}, or install its driver",
    )


def _takes_waveforms(entry: openvino.ConstOutput) -> bool:
    shape = entry.partial_shape
    known = shape.rank.is_static
    return known and is_waveform([None if axis.is_dynamic else axis.get_length() for axis in shape])


def _names(outputs: Sequence[openvino.ConstOutput]) -> tuple[str, ...]:
    """The outputs' names in the file; a value that the file gives twice has all of its names at both places."""
    names: list[str] = []
    for output in outputs:
        names.append(next((name for name in sorted(output.get_names()) if name not in names), ""))
    return tuple(names)


def _computed(model: openvino.Model, compiled: openvino.CompiledModel) -> dict[str, str]:
    """The types of numbers that the compiled graph really computes in, as far as the device tells them."""
    found: set[str] = set()
    with suppress(Exception):  # not every device tells
        for node in compiled.get_runtime_model().get_ops():
            found |= set(str(node.get_rt_info()["outputPrecisions"].astype(str)).split(","))
    floats = [name for name in _FLOATS if name in found]
    if not floats:
        return {}
    told = {"computed in": " and ".join(floats)}
    double = any(
        output.get_element_type() == openvino.Type.f64 for node in model.get_ops() for output in node.outputs()
    )
    if double and "f64" not in floats:
        told["double"] = f"computed as {floats[0]}"
    return told


def _said(error: Exception) -> str:
    """What is wrong, of a text whose first lines are places in OpenVINO's own code."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from ")]
    return first_line(RuntimeError(" ".join(lines[:3]))) if lines else first_line(error)
