"""Running an ONNX port in ONNX Runtime, in a process of its own, and what only ONNX Runtime can do with it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.process import LimitError, call_apart
from aves_artifacts.encoder import EncoderConfig
from aves_verify.backends.backend import IMPLEMENTATIONS, Given, RunError
from aves_verify.backends.separate import Loan, SeparateBackend

LEVELS = ("none", "basic", "extended", "all")  # of ONNX Runtime's optimisation
_LAYERS = 24


class OnnxBackend(SeparateBackend):
    """An ONNX file from anywhere; its first input is the waveform, its first output the final embeddings.

    Others are known by their names, such as ``layer.0`` and ``logits``; see ``GraphOutputs``.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int | None = None,
        optimisation: str = "all",
        provider: str = "CPUExecutionProvider",
        device: str = "",
        config: EncoderConfig | None = None,
        port: str = "onnx",
        loan: Loan | None = None,
    ) -> None:
        """Load ``path`` with one of ONNX Runtime's levels of optimisation, by default as it does itself.

        ``provider``: what runs the operators, on the ``device`` of those that have several. ``port``: the name of the
        implementation, one of those that run in ONNX Runtime. ``loan`` is the process in
        which it is loaded, beside another file, by default one of its own. Raises InputError for what is no such graph,
        and for one that takes too long or too much memory.
        """
        self.optimisation = optimisation
        options = {
            "provider": provider,
            "optimisation": optimisation,
            "threads": "" if threads is None else str(threads),
            "device": device,
        }
        super().__init__(IMPLEMENTATIONS[port], Given(path, config, options), loan=loan)

    @classmethod
    def of(cls, given: Given, port: str = "onnx") -> OnnxBackend:
        """Load a graph as the options say, as one of the ports that run in ONNX Runtime."""
        options, threads = given.options, given.options["threads"]
        return cls(
            given.path,
            threads=int(threads) if threads else None,
            optimisation=options["optimisation"],
            provider=options["provider"],
            device=options["device"],
            config=given.config,
            port=port,
        )

    @property
    def is_reduced(self) -> bool:
        """Whether it is held to what a smaller graph may cost, not to rounding."""
        return self.row.is_reduced

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the file says of itself."""
        return self._about.metadata

    @property
    def unknown_outputs(self) -> tuple[str, ...]:
        """The outputs that nothing of an original has the name of."""
        return self._about.unknown_outputs

    @property
    def other_optimisation(self) -> str:
        """The level of ``otherwise_optimised``."""
        return "none" if self.optimisation == "all" else "all"

    @property
    def other_way(self) -> str:
        """What ``otherwise_optimised`` does otherwise, in words."""
        return f"optimisation {self.other_optimisation}"

    @cached_property
    def _other(self) -> SeparateBackend:
        given = self.with_options(optimisation=self.other_optimisation)
        return SeparateBackend(self.row, given, loan=self._loan)

    def otherwise_optimised(self) -> SeparateBackend:
        """A session that runs this file without ONNX Runtime's optimisations; made when first asked for.

        Raises InputError where it cannot be loaded.
        """
        self._other.reference_seconds = self.reference_seconds
        return self._other

    def apart(self, module: str, name: str, waveform: NDArray[np.float32], *args: object) -> Any:
        """Call a function of ours with the file, a waveform and more in another process, with limits.

        It may keep what every layer gives. Raises what the function raises, and RunError where it hits a limit.
        """
        layers = self.given.config.encoder_num_layers if self.given.config is not None else _LAYERS
        limits = self.limits(waveform.shape, passes=1 + layers)
        try:
            return call_apart(module, name, self.path, waveform, *args, limits=limits)
        except LimitError as error:
            raise RunError(f"{self.path}: ONNX Runtime does not run it within limits: {error}") from None
