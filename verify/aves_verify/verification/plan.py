"""What a verification does: clips, backends, tolerances, what is explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aves_artifacts.base.errors import InputError
from aves_convert.graph.options import Layers
from aves_verify.comparison.compare import TOLERANCES, Tolerance
from aves_verify.sounds.clip import AnyClip
from aves_verify.subjects.subject import BACKENDS


@dataclass(frozen=True)
class Plan:
    """How a subject is verified."""

    clips: tuple[AnyClip, ...] | None = field(default=None, repr=False)  # None: signals made for the geometry
    backends: tuple[str, ...] = BACKENDS
    layers: Layers = "last"
    tolerances: Mapping[str, Tolerance] = field(default_factory=lambda: TOLERANCES)  # by kind of port
    explain: bool = False
    characterise: bool = False

    def __post_init__(self) -> None:
        """Raise InputError where nothing could be compared."""
        unknown = [name for name in self.backends if name not in BACKENDS]
        if unknown:
            raise InputError(f"unknown backend {', '.join(unknown)}; there are {', '.join(BACKENDS)}")
        if len(set(self.backends)) < 2:
            raise InputError(
                "--backends: expected at least two of fairseq, torchaudio, onnx; one alone compares nothing"
            )
        if self.clips == ():
            raise InputError("no clip to compare on")
