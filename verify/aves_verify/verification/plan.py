"""What a verification does: clips, backends, tolerances, what is explained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import printable
from aves_artifacts.bundle.manifest import REDUCED
from aves_convert.graph.options import Layers
from aves_convert.sounds.clip import AnyClip, too_short
from aves_convert.sounds.network_input import network_input
from aves_convert.sounds.signals import reference_signals
from aves_verify.backends.backend import DEFAULT, IMPLEMENTATIONS, REFERENCES, Embeddings, implementation
from aves_verify.backends.separate import check
from aves_verify.comparison.compare import TOLERANCES, Bound, Tolerance
from aves_verify.comparison.reduced import BOUNDS
from aves_verify.sounds.probes import new_seed
from aves_verify.subjects.subject import Subject

if TYPE_CHECKING:
    from aves_verify.loading.load import Loaded


@dataclass(frozen=True)
class Plan:
    """How an encoder's files are run and compared: on which clips, by which backends, how closely.

    ``clips``: None, the reference signals. ``backends``: fairseq, torchaudio, onnx, transformers, openvino, or what
    other packages bring; the first of these that is named is what the others are compared with. Without any those are
    run that every encoder has files for, and transformers where there is its folder. ``layers``: ``all``, not the last
    one's output alone. ``tolerances``: by the kind of port. ``explain``: tell in which stage and operator each port's
    error begins. ``characterise``: measure what padding, gain, batches and threads change. ``seed``: of the inputs that
    are drawn anew for every run; reports tell it. ``options``: by backend, such as ``{"openvino": {"device": "GPU"}}``.
    ``bounds``: what smaller graphs may cost, by port.
    """

    clips: tuple[AnyClip, ...] | None = field(default=None, repr=False)
    backends: tuple[str, ...] = ()
    layers: Layers = "last"
    tolerances: Mapping[str, Tolerance] = field(default_factory=lambda: TOLERANCES)
    explain: bool = False
    characterise: bool = False
    seed: int = field(default_factory=new_seed)
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    bounds: Mapping[str, Bound] = field(default_factory=lambda: BOUNDS)

    def __post_init__(self) -> None:
        """Raise InputError for a backend or an option that is unknown, and where there is nothing to run on."""
        rows = {name: implementation(name) for name in self.backends or (*DEFAULT, *REDUCED, "transformers")}
        for name, options in self.options.items():
            if name not in rows:
                raise InputError(
                    f"options for {printable(name)}, which is not among {', '.join(rows)}", hint="add it to {backends}"
                )
            rows[name].chosen(options)
        if self.clips == ():
            raise InputError("no clip to compare on")

    def of(self, subject: Subject) -> Plan:
        """Fill in the backends for a subject, where none were named. Raises InputError where one is not installed."""
        if self.backends:
            return self
        ports: tuple[str, ...] = ("torchaudio", "onnx") if subject.folder_is_original else DEFAULT
        ports = (*(port for port in ports if port != "onnx" or subject.onnx or not subject.reduced), *subject.reduced)
        return replace(self, backends=ports if subject.transformers is None else _with_transformers(*ports))

    def embed(self, subject: Subject) -> Iterator[dict[str, Embeddings]]:
        """Run every backend on every clip and compare nothing; yield for each clip backend -> outputs, float32 arrays.

        ``final`` is [1, frames, dim], what the original returns; with ``layers="all"`` there are ``layer.0``,
        ``layer.1``, …, and of a fine-tuned model ``logits``. Clips are run one by one: padding to one length would
        change every frame. Raises InputError for a missing or unusable file, and a clip too short for a frame.
        """
        loaded = self._loaded(subject)
        shortest, hop = loaded.config.receptive_field, loaded.config.hop
        for clip in self.clips or reference_signals(receptive_field=shortest, hop=hop):
            yield self._outputs(loaded, clip)

    def opened(self, subject: Subject) -> Callable[[AnyClip], dict[str, Embeddings]]:
        """Load every backend, once, and return a function that does with a clip what ``embed`` does.

        Raises InputError for a missing or unusable file.
        """
        loaded = self._loaded(subject)
        return lambda clip: self._outputs(loaded, clip)

    def needs(self, subject: Subject) -> Subject:
        """A subject with the files alone that ``embed`` and ``opened`` read: those that another machine needs."""
        return subject.only({implementation(name).reads for name in self.of(subject).backends})

    def with_threads(self, threads: int) -> Plan:
        """Give each backend that has a number of threads of its own so many; what was asked for stays.

        Those that run in this process have torch's.
        """
        options = {name: dict(given) for name, given in self.options.items()}
        for name in self.backends:
            if "threads" in implementation(name).options:
                options.setdefault(name, {}).setdefault("threads", str(threads))
        return replace(self, options=options)

    def _loaded(self, subject: Subject) -> Loaded:
        from aves_verify.loading.load import load  # torch and ONNX Runtime only when something is run

        return load(subject, self.of(subject).backends, self.options, judged=False)

    def _outputs(self, loaded: Loaded, clip: AnyClip) -> dict[str, Embeddings]:
        if problem := too_short(clip, loaded.config.receptive_field):
            raise InputError(problem)
        waveform = network_input(clip, normalize=loaded.normalize)
        return {encoder.name: encoder.run(waveform, layers=self.layers == "all") for encoder in loaded.backends}


def _with_transformers(*others: str) -> tuple[str, ...]:
    """These backends and transformers. Raises InputError where it is not installed, with the way to do without."""
    row = implementation("transformers")
    try:
        row.check_installed()
    except InputError as error:
        raise InputError(*error.problems, hint=f"or go on without it: {{backends}} {','.join(others)}") from None
    return (*others, row.name)


def check_comparable(plan: Plan) -> None:
    """Raise InputError where there is nothing to compare with, or where a backend needs what is not installed."""
    if plan.backends and len(set(plan.backends)) < 2:
        raise InputError(
            f"expected at least two of {', '.join(IMPLEMENTATIONS)}; one alone compares nothing",
            hint="give them with {backends}",
        )
    if plan.backends and not set(plan.backends) & set(REFERENCES):
        raise InputError(
            f"nothing to compare {', '.join(plan.backends)} with: expected one of {', '.join(REFERENCES)} too",
            hint="give it with {backends}",
        )
    for row in map(implementation, plan.backends or DEFAULT):
        row.check_installed()
        if row.package or row.name in plan.options:  # better told now than after a gigabyte of files is made
            check(row, plan.options.get(row.name, {}))
