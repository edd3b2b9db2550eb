"""Run every backend on every clip, compare later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from aves_artifacts.encoder_config import EncoderConfig
from aves_artifacts.errors import InputError
from aves_convert.fairseq_checkpoint import Checkpoint
from aves_convert.onnx_options import Layers
from aves_convert.pretrained_settings import read_settled
from aves_convert.torchaudio_port import port
from aves_convert.torchaudio_weights import read_state_dict
from aves_verify.backends import BACKENDS, Backend, Embeddings
from aves_verify.clip import Clip, check_length
from aves_verify.compare import TOLERANCES, Comparison, Tolerance, compare, incomparable
from aves_verify.report import ConfigReport
from aves_verify.signals import reference_signals
from aves_verify.subject import Subject
from aves_verify.weights import onnx_problems, torchaudio_problems

Progress = Callable[[str, int, int], None]  # what is going on, steps done, steps in all


@dataclass(frozen=True)
class Plan:
    """How a subject is verified."""

    clips: tuple[Clip, ...] | None = field(default=None, repr=False)  # None: the signals, synthesised for the geometry
    backends: tuple[str, ...] = BACKENDS
    layers: Layers = "last"
    tolerances: Mapping[str, Tolerance] = field(default_factory=lambda: TOLERANCES)  # by backend

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


@dataclass(frozen=True)
class Loaded:
    """A subject's encoders: those compared, and the exact one in float64."""

    backends: tuple[Backend, ...]  # the reference first
    exact: Backend
    config: EncoderConfig
    normalize: bool
    problems: tuple[str, ...]  # weights that are not the original's


def verify(subject: Subject, plan: Plan, progress: Progress = lambda *_: None) -> ConfigReport:
    """Compare a subject's ports with its original on every clip.

    The reference is fairseq; where that is waived, TorchAudio. Raises InputError for a missing or unusable file.
    """
    seconds = dict.fromkeys(("load", *plan.backends, "exact"), 0.0)
    progress("loading", 0, 1)
    with _timed(seconds, "load"):
        loaded = load(subject, plan.backends)
    comparisons: list[Comparison] = []
    problems = [*subject.problems, *loaded.problems]
    geometry = loaded.config
    clips = plan.clips or reference_signals(receptive_field=geometry.receptive_field, hop=geometry.hop)
    for done, clip in enumerate(clips):
        progress(clip.name, done, len(clips))
        try:
            check_length(clip, loaded.config.receptive_field)
        except InputError as error:
            problems.append(str(error))
            continue
        comparisons += _compare_clip(loaded, clip, plan, seconds)
    return ConfigReport(
        name=subject.name,
        source=subject.source,
        reference=loaded.backends[0].name,
        sha256=subject.sha256(plan.backends),
        comparisons=tuple(comparisons),
        seconds=seconds,
        problems=tuple(problems),
    )


def load(subject: Subject, names: Sequence[str]) -> Loaded:
    """Load a subject's backends, the reference first. Raises InputError for a missing file that was not waived."""
    for name in names:
        if subject.file(name) is None:
            others = ",".join(n for n in names if n != name)
            raise InputError(
                f"{subject.name}: no file for {name}; give --{name} FILE, or go on without it: --backends {others}"
            )
    checkpoint = read_settled(subject.fairseq, subject.pretrained) if subject.fairseq is not None else None
    config, state_dict = _weights(subject, checkpoint)
    loaded = [_load_one(name, subject, checkpoint) for name in BACKENDS if name in names]
    from aves_verify.backends.torchaudio_encoder import TorchaudioBackend

    return Loaded(
        backends=tuple(loaded),
        exact=TorchaudioBackend(config, state_dict, dtype=torch.float64),
        config=config,
        normalize=_normalize(subject, checkpoint),
        problems=_weight_problems(subject, names, config, state_dict) if checkpoint is not None else (),
    )


def network_input(clip: Clip, *, normalize: bool) -> NDArray[np.float32]:
    """A clip as the network takes it [1, samples]; ``normalize``: zero mean and unit variance over the clip.

    Source: fairseq ``data/audio/raw_audio_dataset.py``, ``postprocess``: ``F.layer_norm(feats, feats.shape)``.
    """
    if not normalize:
        return clip.waveform[None]
    waveform = torch.from_numpy(clip.waveform.copy())
    return torch.nn.functional.layer_norm(waveform, waveform.shape).numpy()[None]


def _compare_clip(loaded: Loaded, clip: Clip, plan: Plan, seconds: dict[str, float]) -> Iterator[Comparison]:
    waveform = network_input(clip, normalize=loaded.normalize)
    layers = plan.layers == "all"
    results: dict[str, Embeddings] = {}
    for backend in loaded.backends:
        with _timed(seconds, backend.name):
            results[backend.name] = backend.run(waveform, layers=layers)
    with _timed(seconds, "exact"):
        exact = loaded.exact.run(waveform, layers=layers)
    reference = loaded.backends[0].name
    for port_name in (backend.name for backend in loaded.backends[1:]):
        for layer in {**results[reference], **results[port_name]}:
            found, expected = results[port_name].get(layer), results[reference].get(layer)
            names = {"backend": port_name, "reference_name": reference, "clip": clip.name, "layer": layer}
            if found is None or expected is None:
                has, lacks = (port_name, reference) if expected is None else (reference, port_name)
                yield incomparable(f"{has} gives {layer}, {lacks} does not", **names)
            else:
                tolerance = plan.tolerances[port_name]
                yield compare(found, expected, **names, tolerance=tolerance, exact=exact[layer])


def _weights(subject: Subject, checkpoint: Checkpoint | None) -> tuple[EncoderConfig, dict[str, torch.Tensor]]:
    """The geometry and the weights that the exact answer is computed from: the original's, where it is given."""
    if checkpoint is not None:
        converted = port(checkpoint, allow_non_finite=True)
        return converted.config, dict(converted.state_dict)
    if subject.torchaudio is None:
        raise InputError(f"{subject.name}: neither the fairseq checkpoint nor the TorchAudio weights; give one of them")
    return _torchaudio_weights(subject)


def _weight_problems(
    subject: Subject, names: Sequence[str], config: EncoderConfig, original: Mapping[str, torch.Tensor]
) -> tuple[str, ...]:
    """What is wrong with the ports' config and weights, before anything is computed with them."""
    problems: list[str] = []
    if "torchaudio" in names and subject.torchaudio is not None:
        ported_config, ported = _torchaudio_weights(subject)
        if ported_config.architecture_entries() != config.architecture_entries():
            problems.append(f"torchaudio: {subject.config} is not the original's geometry")
        elif set(ported) == set(original):
            problems += torchaudio_problems(original, ported, subject.torchaudio)
    if "onnx" in names and subject.onnx is not None:
        problems += onnx_problems(original, subject.onnx)
    return tuple(problems)


def _torchaudio_weights(subject: Subject) -> tuple[EncoderConfig, dict[str, torch.Tensor]]:
    if subject.torchaudio is None or subject.config is None:
        raise InputError(f"{subject.name}: --torchaudio needs --config with the model_config.json beside it")
    config = EncoderConfig.read(subject.config)
    return config, read_state_dict(subject.torchaudio, config)


def _load_one(name: str, subject: Subject, checkpoint: Checkpoint | None) -> Backend:
    if name == "fairseq":
        from aves_verify.backends.fairseq_hubert import FairseqBackend

        assert checkpoint is not None  # noqa: S101 - load() refused a missing file
        return FairseqBackend(checkpoint)
    if name == "torchaudio":
        from aves_verify.backends.torchaudio_encoder import TorchaudioBackend

        return TorchaudioBackend(*_torchaudio_weights(subject))
    from aves_verify.backends.onnx_session import OnnxBackend

    assert subject.onnx is not None  # noqa: S101 - as above
    return OnnxBackend(subject.onnx)


def _normalize(subject: Subject, checkpoint: Checkpoint | None) -> bool:
    if checkpoint is not None:
        return checkpoint.task_config.get("normalize") is True
    return subject.normalize is True


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[name] += time.perf_counter() - start
