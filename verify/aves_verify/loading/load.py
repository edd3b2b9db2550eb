"""Loading the encoders of one subject: those that are compared, and the exact one in float64."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.outputs import Output, is_deep, is_layer
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.concurrency import pool
from aves_convert.checkpoint.architecture import architecture
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.convert import with_centroids
from aves_convert.weights.heads import NO_HEADS, Heads, heads_of, read_heads
from aves_convert.weights.to_torchaudio import to_torchaudio
from aves_verify.backends.backend import IMPLEMENTATIONS, Backend, Given, Implementation, implementation
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.recorded import RecordedBackend
from aves_verify.backends.separate import SeparateBackend
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.backends.transformers_model import TransformersBackend
from aves_verify.comparison.reduced_weights import ReducedWeights
from aves_verify.comparison.weights import WeightSearch, fingerprint
from aves_verify.loading.against_original import (
    head_problems,
    ported_config,
    ported_weights,
    reduced_searches,
    weight_searches,
)
from aves_verify.loading.as_documented import loading_problems
from aves_verify.loading.folder_against_original import folder_settings_problems, folder_weights
from aves_verify.loading.folder_as_documented import folder_differences
from aves_verify.subjects.subject import Subject


@dataclass(frozen=True)
class Loaded:
    """The encoders of one subject: those that are compared, and the exact one in float64."""

    backends: tuple[Backend, ...]  # the reference first
    exact: TorchaudioBackend | None  # None where an ONNX port alone is held against a recording
    config: EncoderConfig
    normalize: bool
    problems: tuple[str, ...]  # weights that are not the original's
    weights: Mapping[str, WeightSearch]  # by file, where there is an original to hold them against
    ported_config: EncoderConfig | None = None  # what the TorchAudio port's config says, where there is an original
    has_original: bool = False  # whether settings are the original's own word
    centroids_given: bool = False  # by whoever verifies, not by the port
    notes: tuple[str, ...] = ()  # what is so of the original, and who uses it must know
    heads: Heads = NO_HEADS  # the original's, with the centroids that units are chosen by
    reduced: Mapping[str, ReducedWeights] = field(default_factory=dict)  # by port, where there is an original

    @property
    def reference(self) -> str:
        """The name of what the others are compared with."""
        return self.backends[0].name

    @property
    def named(self) -> frozenset[str]:
        """What graphs give of layers by name, and is compared though nobody asks for layers."""
        graphs = [port for port in self.backends[1:] if isinstance(port, SeparateBackend)]
        given = {
            name
            for graph in graphs
            for name in graph.gives
            if is_deep(name) and not (graph.gives_layers and is_layer(name))
        }
        heads = [port.heads for port in self.backends[1:] if isinstance(port, TorchaudioBackend)]
        return frozenset(given | {Output("units", layer).name for each in heads for layer in each.centroids})


def load(
    subject: Subject,
    names: Sequence[str],
    options: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    *,
    judged: bool = True,
) -> Loaded:
    """Load a subject's encoders, the reference first. Raises InputError for a missing file that was not waived.

    ``options``: by backend. Those that are not ``judged`` are loaded without the exact encoder, and nothing is held
    against the original.
    """
    rows = in_order(names, first="transformers" if subject.folder_is_original else "fairseq")
    read = {row.reads for row in rows}
    _check_files(subject, rows)
    checkpoint = subject.read() if subject.original is not None else None
    recording = RecordedBackend(subject.recording) if subject.recording is not None else None
    config, state_dict = _weights(subject, checkpoint, recording, judged=judged)
    if recording is not None and state_dict and fingerprint(state_dict) != recording.about.weights:
        raise InputError(
            f"{recording.path}: was recorded from other weights than those of {subject.name}; "
            "record the checkpoint that this port was made from"
        )
    original = state_dict if checkpoint is not None or recording is not None else {}
    heads, ported_heads = _heads(subject, checkpoint, config)
    with pool(2) as thread:
        # beside the torch models: other processes and comparing arrays keep no other thread from running
        given = {row.name: _given(row, subject, config, options.get(row.name, {})) for row in rows}
        if "torchaudio" in given:
            given["torchaudio"] = replace(given["torchaudio"], heads=ported_heads)
        original_name = "transformers" if subject.folder_is_original else "fairseq"
        if original_name in given:
            given[original_name] = replace(given[original_name], heads=heads)
        apart = {row.name: thread.submit(_apart, row, given[row.name]) for row in rows if not row.here}
        loading = thread.submit(_loading_problems, subject) if "torchaudio" in read and judged else None
        graph = next((apart[row.name] for row in rows if row.reads == "onnx"), None)
        sought = (subject, read, config, original, heads, graph)
        compared = thread.submit(weight_searches, *sought) if original and judged else None
        graphs = {row.name: apart[row.name] for row in rows if row.is_reduced}
        rounded = (
            thread.submit(reduced_searches, subject, config, state_dict, heads, graphs)
            if state_dict and judged
            else None
        )
        here: dict[str, Backend] = {
            row.name: recording if recording is not None and row.name == "fairseq" else _here(row, given[row.name])
            for row in rows
            if row.here
        }
        folder = here.get("transformers")
        exact = (
            TorchaudioBackend(config, state_dict, dtype=torch.float64, heads=heads) if state_dict and judged else None
        )
        backends = tuple(here[row.name] if row.here else apart[row.name].result() for row in rows)
        weights = compared.result() if compared else {}
        reduced = rounded.result() if rounded else {}
        held = {port: found.search for port, found in reduced.items()}  # against a port's, where there is no original
        weights |= held if original else {}
        documented, notes = loading.result() if loading else [], []
        if judged and isinstance(folder, TransformersBackend):
            normalize = _normalize(subject, checkpoint, recording, folder)
            differences = list(folder_differences(folder, normalize=normalize))
            as_it_is = [each for each in differences if each.own and subject.folder_is_original]
            notes = [each.text for each in as_it_is]
            documented += [each.text for each in differences if each not in as_it_is]
            if original and not subject.folder_is_original:
                weights |= {"transformers": folder_weights(original, folder)}
                documented += folder_settings_problems(folder, config, checkpoint, heads, normalize=normalize)
    problems = [problem for search in {**held, **weights}.values() for problem in search.problems]
    _refuse_unknown(backends[1:], heads, has_original=checkpoint is not None or recording is not None)
    return Loaded(
        backends=backends,
        exact=exact,
        config=config,
        normalize=_normalize(subject, checkpoint, recording, folder),
        problems=(
            *_settings_problems(subject, checkpoint, recording),
            *problems,
            *(head_problems(subject, heads, ported_heads) if checkpoint is not None else ()),
            *documented,
        ),
        weights=weights,
        ported_config=EncoderConfig.read(subject.config) if "torchaudio" in read and subject.config else None,
        has_original=checkpoint is not None or recording is not None,
        heads=heads,
        centroids_given=bool(subject.centroids),
        notes=tuple(notes),
        reduced=reduced,
    )


def in_order(names: Sequence[str], first: str = "fairseq") -> list[Implementation]:
    """The implementations of these names, the reference first: the original, what is nearest to it, then the others."""
    rows = [implementation(name) for name in dict.fromkeys(names)]
    known = list(dict.fromkeys((first, *IMPLEMENTATIONS)))
    return sorted(rows, key=lambda row: known.index(row.name) if row.name in known else len(known))


def _check_files(subject: Subject, rows: Sequence[Implementation]) -> None:
    """Raise InputError where a backend has nothing to read, and where a recording has no place."""
    for row in rows:
        if subject.file(row.reads) is None and not (row.name == "fairseq" and subject.recording is not None):
            others = ",".join(other.name for other in rows if other != row)
            raise InputError(
                f"{subject.name}: no file for {row.name}",
                hint=f"give {{{row.reads}}} FILE, or go on without it: {{backends}} {others}",
            )
    if subject.recording is not None and "fairseq" not in (row.name for row in rows):
        raise InputError(
            f"{subject.recording}: a recording stands for fairseq, which is not among "
            f"{', '.join(row.name for row in rows)}",
            hint="add fairseq to {backends}, or leave {reference} out",
        )


def _refuse_unknown(ports: Sequence[Backend], heads: Heads, *, has_original: bool) -> None:
    """Raise InputError where a graph gives what nobody can compute: units of no centroids, projections of nothing."""
    for graph in (port for port in ports if isinstance(port, SeparateBackend)):
        for output in (output for name in graph.gives if (output := Output.of(name)) is not None):
            if heads.has(output) or (output.kind == "projection" and has_original):
                continue
            what, option = (
                ("centroids", "{centroids} layer.N=FILE") if output.kind == "units" else ("heads", "{heads} FILE")
            )
            raise InputError(
                f"{graph.path}: gives {output.name}, and there are no {what} to compute it from", hint=f"give {option}"
            )


def _given(row: Implementation, subject: Subject, config: EncoderConfig, options: Mapping[str, str]) -> Given:
    """What an implementation loads an encoder from; the path means nothing where a recording takes its place."""
    path = subject.file(row.reads) or subject.recording
    assert path is not None  # noqa: S101 - load() refused a missing file
    if row.reads == "torchaudio":
        config = ported_config(subject)
    return Given(path, config, row.chosen(options), subject.pretrained, subject.geometry)


def _here(row: Implementation, given: Given) -> Backend:
    loaded: Backend = row.maker()(given)  # type: ignore[assignment]  # ours have names
    return loaded


def _apart(row: Implementation, given: Given) -> SeparateBackend:
    if row.name == "onnx" or row.is_reduced:  # graphs are looked into with it
        return OnnxBackend.of(given, row.name)
    return SeparateBackend(row, given)


def _weights(
    subject: Subject, checkpoint: Checkpoint | None, recording: RecordedBackend | None, *, judged: bool
) -> tuple[EncoderConfig, dict[str, NDArray[np.float32]]]:
    """The geometry and the weights that the exact answer is computed from: the original's, where it is given.

    Where nothing is judged, no weights are read for a port that is run.
    """
    if checkpoint is not None:
        converted = to_torchaudio(checkpoint, allow_non_finite=True, allow_unknown_config=True)
        return converted.config, dict(converted.state_dict)
    if not judged and recording is None and subject.config is not None:
        return EncoderConfig.read(subject.config), {}
    if subject.torchaudio is not None:
        ported, weights = ported_weights(subject)
        return (ported if recording is None else recording.config), weights
    if subject.transformers is not None:
        converted = to_torchaudio(read_checkpoint(subject.transformers), allow_non_finite=True)
        return converted.config, dict(converted.state_dict)
    if recording is not None:
        return recording.config, {}
    raise InputError(f"{subject.name}: neither the original nor the TorchAudio weights; give one of them")


def _heads(subject: Subject, checkpoint: Checkpoint | None, config: EncoderConfig) -> tuple[Heads, Heads]:
    """The original's heads, and those that lie beside the TorchAudio weights.

    Centroids are those that are given, else the port's: a checkpoint has none. Without a checkpoint all are the port's.
    """
    ported = NO_HEADS if subject.heads is None else read_heads(subject.heads, config)
    if checkpoint is None:
        heads = ported
    else:
        arch = architecture(checkpoint, allow_unknown_config=True)
        heads = heads_of(checkpoint, arch, allow_non_finite=True)
    everywhere = subject.centroids.get(None)
    layers = range(config.encoder_num_layers) if everywhere is not None else ()  # whichever has units
    heads = heads.with_centroids(ported.centroids)
    return with_centroids(heads, subject.centroids, config, layers), ported


def _settings_problems(
    subject: Subject, checkpoint: Checkpoint | None, recording: RecordedBackend | None
) -> Iterator[str]:
    """Does the manifest say of the waveform what the original says?"""
    if (checkpoint is None and recording is None) or subject.normalize is None:
        return
    original = _normalize(subject, checkpoint, recording, None)
    if original != subject.normalize:
        yield (
            f"waveform: the manifest says normalize {json.dumps(subject.normalize)}, "
            f"the original {json.dumps(original)}: users would give the ports another waveform"
        )


def _loading_problems(subject: Subject) -> list[str]:
    """Does the TorchAudio port load as its users load it?"""
    assert subject.torchaudio is not None  # noqa: S101 - load() refused a missing file
    return list(loading_problems(subject.torchaudio, ported_weights(subject)[1]))


def _normalize(
    subject: Subject, checkpoint: Checkpoint | None, recording: RecordedBackend | None, folder: Backend | None
) -> bool:
    """Whether waveforms are normalised, by the word of the original; without one by that of a port."""
    if checkpoint is not None:
        return checkpoint.task_config.get("normalize") is True
    if recording is not None:
        return recording.about.normalize
    if subject.normalize is None and isinstance(folder, TransformersBackend):
        return folder.folder.preprocessor.normalize
    return subject.normalize is True
