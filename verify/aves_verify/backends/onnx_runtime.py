"""Running an ONNX port in ONNX Runtime, in this very process, by the provider that is asked for."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line, listed, printable
from aves_artifacts.bundle.graph_contract import is_waveform
from aves_artifacts.bundle.outputs import GraphOutputs
from aves_verify.backends.backend import Embeddings, Given, RunError, check_threads, with_axes
from aves_verify.backends.separate import About

_LEVELS = {
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
CPU = "CPUExecutionProvider"

# What a provider would otherwise choose by itself: fewer bits than float32, or an algorithm by a race on the clock.
_PINNED = {
    "CUDAExecutionProvider": {"use_tf32": "0", "cudnn_conv_algo_search": "DEFAULT"},
    "TensorrtExecutionProvider": {"trt_fp16_enable": "0", "trt_bf16_enable": "0", "trt_int8_enable": "0"},
    "OpenVINOExecutionProvider": {"device_type": "CPU", "precision": "FP32"},
    "CoreMLExecutionProvider": {"AllowLowPrecisionAccumulationOnGPU": "0"},
}
_SINCE = {"trt_bf16_enable": (1, 23)}  # ONNX Runtimes before refuse a provider for an option that they do not know
_VERSION = tuple(map(int, onnxruntime.__version__.split(".")[:2]))
# What a provider calls the device that it computes on; others have but one.
_DEVICE = {
    "CUDAExecutionProvider": "device_id",
    "TensorrtExecutionProvider": "device_id",
    "OpenVINOExecutionProvider": "device_type",
}
_TF32 = "NVIDIA_TF32_OVERRIDE"  # what NVIDIA's libraries read, TensorRT's too, which has no option of its own
_LARGEST_PROFILE = 64 << 20  # bytes; a graph that loops writes a line for every node that it runs

_EXPECTED = "expected a graph with the input waveform [batch, samples] float32, as aves-convert writes"


def load(given: Given) -> OnnxSession:
    """Load a graph as the options say. Raises InputError."""
    threads, provider = given.options.get("threads"), given.options.get("provider", CPU)
    return OnnxSession(
        given.path,
        threads=int(threads) if threads else None,
        optimisation=given.options.get("optimisation", "all"),
        provider=provider,
        layers=None if given.config is None else given.config.encoder_num_layers,
        device=given.options.get("device", ""),
    )


def check(options: Mapping[str, str]) -> None:
    """Raise InputError for a provider that there is not, and for other options that cannot be meant."""
    provider_options(provider_named(options["provider"]), options["device"])
    optimisation = options["optimisation"]
    if optimisation not in _LEVELS:
        raise InputError(f"ONNX Runtime has no optimisation {printable(optimisation)}; it has {', '.join(_LEVELS)}")
    check_threads("ONNX Runtime", options["threads"])


def provider_named(name: str) -> str:
    """The whole name of a provider, which may be given without ``ExecutionProvider`` and in small letters.

    Raises InputError where ONNX Runtime has none of this name here.
    """
    available = onnxruntime.get_available_providers()
    short = name.lower().removesuffix("executionprovider")
    for each in available:
        if each.lower() == f"{short}executionprovider":
            return str(each)
    raise InputError(
        f"ONNX Runtime {onnxruntime.__version__} has no provider {printable(name)} here; it has {', '.join(available)}",
        hint="give one of them with {onnx_provider}, or install the ONNX Runtime that has it",
    )


def provider_options(provider: str, device: str = "") -> dict[str, str]:
    """What a provider is given, so that nothing is left to its own choice; ``device`` as it calls one.

    Raises InputError where the provider has no devices to choose from.

    >>> provider_options("OpenVINOExecutionProvider", "GPU")
    {'device_type': 'GPU', 'precision': 'FP32'}
    """
    pinned = {name: value for name, value in _PINNED.get(provider, {}).items() if _SINCE.get(name, (0, 0)) <= _VERSION}
    if not device:
        return pinned
    if provider not in _DEVICE:
        raise InputError(
            f"ONNX Runtime: device is {printable(device)}, but {provider} has none to choose from; those that have are "
            f"{', '.join(_DEVICE)}"
        )
    return {**pinned, _DEVICE[provider]: device}


class OnnxSession:
    """An ONNX file from anywhere; its first input is the waveform, its first output the final embeddings.

    Others are known by their names, such as ``layer.0`` and ``logits``; see ``GraphOutputs``.
    """

    version: str = onnxruntime.__version__

    def __init__(
        self,
        path: Path,
        *,
        threads: int | None = None,
        optimisation: str = "all",
        provider: str = CPU,
        layers: int | None = None,
        device: str = "",
    ) -> None:
        """Load ``path`` with one of ONNX Runtime's levels of optimisation, by default as it does itself.

        ``layers``: of the encoder. Raises InputError for what is no such graph, and for a provider or a device
        that there is not.
        """
        self.path, self._provider = path, provider_named(provider)
        self._options = provider_options(self._provider, device)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = _LEVELS[optimisation]
        # Else the second clip of a length has its arrays laid out anew, beside what the first took: 1.6 times as much.
        options.enable_mem_pattern = False
        # Threads that wait in a busy loop are in the way of the others' models, and win nothing here: measured.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            options.intra_op_num_threads = threads
        self._nodes: Counter[str] | None = None  # by the provider that ran them, once that is known
        self._profiling = provider_named(provider) != CPU
        self._session = self._started(options)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or not is_waveform(inputs[0].shape):
            found = listed([printable(f"{i.name} {i.type} {i.shape}") for i in inputs], 3)
            raise InputError(f"{path}: inputs are {found}; {_EXPECTED}")
        self._input: str = inputs[0].name
        self._axes = len(inputs[0].shape)
        batch, samples = inputs[0].shape[0], inputs[0].shape[-1]
        self._fixed = (batch, samples) if isinstance(batch, int) and isinstance(samples, int) else None
        self._outputs = GraphOutputs(tuple(output.name for output in self._session.get_outputs()), layers)

    def _started(self, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
        """A session with the provider that is asked for, and nothing left to that one's own choice."""
        providers: list[Any] = [CPU]
        if self._provider != CPU:
            os.environ[_TF32] = "0"
            options.use_deterministic_compute = True
            options.enable_profiling = True
            self._profiles = tempfile.TemporaryDirectory(prefix="aves-profile-")
            options.profile_file_prefix = str(Path(self._profiles.name) / "nodes")
            providers = [(self._provider, self._options), CPU]
        try:
            session = onnxruntime.InferenceSession(str(self.path), options, providers=providers)
        except Exception as error:  # ONNX Runtime's exceptions have no common base but Exception
            raise InputError(f"{self.path}: ONNX Runtime cannot load it ({first_line(error)}); {_EXPECTED}") from None
        if self._provider not in session.get_providers():
            raise InputError(
                f"{self.path}: {self._provider} does not start here, and ONNX Runtime would go on without it on "
                f"{', '.join(session.get_providers())}; mend what it needs, such as a driver or a library",
                hint="or give another one with {onnx_provider}",
            )
        return session

    @property
    def facts(self) -> About:
        """What the file says of itself, and how it runs here."""
        settings = {"provider": self._provider}
        if device := self._options.get(_DEVICE.get(self._provider, "")):
            settings["device"] = printable(device)
        if self._nodes is not None:
            settings["nodes"] = " and ".join(f"{count} on {name}" for name, count in self._nodes.most_common())
        idle = self._nodes is not None and self._provider not in self._nodes
        return About(
            version=self.version,
            settings=settings,
            problems=(f"no node ran on {self._provider}: the numbers are those of others",) if idle else (),
            gives_layers=self._outputs.give_layers,
            outputs=tuple(self._outputs.called),
            metadata=dict(self._session.get_modelmeta().custom_metadata_map),
            unknown_outputs=self._outputs.unknown,
            fixed_shape=self._fixed,
        )

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
        """See ``Encoder.run``. Raises InputError where layers are wanted and the file gives only the last."""
        names = self._outputs.wanted(self.path, layers=layers)
        try:
            values = self._session.run(list(names.values()), {self._input: with_axes(waveform, self._axes)})
        except Exception as error:  # as above
            shape = list(waveform.shape)
            raise RunError(f"{self.path}: ONNX Runtime fails on a waveform {shape}: {first_line(error)}") from None
        if self._profiling:  # once: a profile that has ended has no file
            self._profiling = False
            self._nodes = self._placed()
        return dict(zip(names, values, strict=True))

    def _placed(self) -> Counter[str] | None:
        """How many nodes each provider ran, by the profile of the first run; None where that tells too much."""
        profile = Path(self._session.end_profiling())
        try:
            if profile.stat().st_size > _LARGEST_PROFILE:
                return None
            events = json.loads(profile.read_text(encoding="utf-8"))
        finally:
            self._profiles.cleanup()
        ran = {e["name"]: e["args"]["provider"] for e in events if e.get("cat") == "Node" and e["args"].get("provider")}
        return Counter(ran.values())
