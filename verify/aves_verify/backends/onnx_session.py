"""Running an ONNX port in ONNX Runtime, in a process of its own: it may loop without end, or take all memory."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.process import LimitError, Limits, borrowed, call_apart, give_back
from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.file_weights import bytes_of_files
from aves_verify.backends.backend import Embeddings, RunError
from aves_verify.sounds.clip import SAMPLE_RATE
from aves_verify.sounds.memory import needed

LEVELS = ("none", "basic", "extended", "all")  # of ONNX Runtime's optimisation
_RUNTIME = "aves_verify.backends.onnx_runtime"  # imported in the other process alone
# What a graph may take. A file's weights lie in memory several times while ONNX Runtime arranges them anew.
_MEMORY, _FILES, _FORWARD = 1 << 30, 6, 4  # bytes; times the file's size; times what a forward pass is known to take
_LAYERS = 24
_UNKNOWN = 64 << 10  # bytes for each sample, where the geometry is not known
_SECONDS, _SLOWER, _PACE = 60.0, 30, 5.0  # in all; times what the reference took; for each second of sound


class _Loan:
    """A process that is given back once no backend uses it any more; each was allowed so much memory to load a file."""

    def __init__(self, memory: int) -> None:
        self.process = borrowed()
        weakref.finalize(self, give_back, self.process, memory)


class OnnxBackend:
    """An ONNX file from anywhere; its first input is the waveform, its first output the final embeddings.

    Others are known by their names: ``layer.0`` … and ``logits``. Its limits follow from the file's size, the
    encoder's geometry and ``reference_seconds``: how long the reference took for a second of sound, at most.
    """

    name = kind = "onnx"

    def __init__(
        self,
        path: Path,
        *,
        threads: int | None = None,
        optimisation: str = "all",
        config: EncoderConfig | None = None,
        loan: _Loan | None = None,
    ) -> None:
        """Load ``path`` with one of ONNX Runtime's levels of optimisation, by default as it does itself.

        ``loan`` is the process in which it is loaded, beside another file, by default one of its own. Raises InputError
        for what is no such graph, and for one that takes too long or too much memory.
        """
        self.path, self.optimisation, self.reference_seconds = path, optimisation, 0.0
        self._threads, self._config = threads, config
        self._sessions = 1 if loan is None else 2
        size = bytes_of_files(path)
        self._memory = _MEMORY + self._sessions * _FILES * size
        self._loan = loan or _Loan(self._memory)
        self._process = self._loan.process
        limits = Limits(_SECONDS + size / 5e6, self._memory)
        try:
            loaded = self._process.call(
                _RUNTIME, "opened", path, threads, optimisation, loan is not None, limits=limits
            )
        except LimitError as error:
            raise InputError(f"{path}: ONNX Runtime cannot load it within limits: {error}") from None
        self._number, facts = loaded
        self.version: str = facts.version
        self.metadata: Mapping[str, str] = facts.metadata
        self.gives_layers: bool = facts.gives_layers
        self.unknown_outputs: tuple[str, ...] = facts.unknown_outputs

    @property
    def other_optimisation(self) -> str:
        """The level of ``otherwise_optimised``."""
        return "none" if self.optimisation == "all" else "all"

    @cached_property
    def _other(self) -> OnnxBackend:
        other = self.other_optimisation
        return OnnxBackend(self.path, threads=self._threads, optimisation=other, config=self._config, loan=self._loan)

    def otherwise_optimised(self) -> OnnxBackend:
        """A session that runs this file without ONNX Runtime's optimisations; made when first asked for.

        Raises InputError where it cannot be loaded.
        """
        self._other.reference_seconds = self.reference_seconds
        return self._other

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
        """See ``Backend.run``. Raises InputError where layers are wanted and the file gives only the last.

        Raises RunError where the graph fails, or hits a limit.
        """
        try:
            found: Embeddings = self._process.call(
                _RUNTIME, "run", self._number, waveform, layers, limits=self.limits(waveform.shape, layers=layers)
            )
        except LimitError as error:
            shape = list(waveform.shape)
            raise RunError(
                f"{self.path}: ONNX Runtime does not run a waveform {shape} within limits: {error}"
            ) from None
        return found

    def apart(self, module: str, name: str, waveform: NDArray[np.float32], *args: object) -> Any:
        """Call a function of ours with the file, a waveform and more in another process, with limits.

        It may keep what every layer gives. Raises what the function raises, and RunError where it hits a limit.
        """
        layers = self._config.encoder_num_layers if self._config is not None else _LAYERS
        limits = self.limits(waveform.shape, passes=1 + layers)
        try:
            return call_apart(module, name, self.path, waveform, *args, limits=limits)
        except LimitError as error:
            raise RunError(f"{self.path}: ONNX Runtime does not run it within limits: {error}") from None

    def limits(self, shape: tuple[int, ...], *, layers: bool = False, passes: int = 1) -> Limits:
        """What ``passes`` on a waveform of this shape may take: far more than any encoder of this geometry does."""
        samples = int(np.prod(shape))
        if self._config is None:
            forward = _UNKNOWN * samples
        else:
            forward = shape[0] * needed(self._config, shape[-1], layers=layers)
        pace = max(_PACE, _SLOWER * self.reference_seconds)
        memory = self._memory + self._sessions * passes * _FORWARD * forward
        return Limits(_SECONDS + passes * pace * samples / SAMPLE_RATE, memory)
