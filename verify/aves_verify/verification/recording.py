"""Recording an original's outputs: one backend on the inputs that a verification would give it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.options import Layers
from aves_convert.sounds.clip import AnyClip
from aves_convert.sounds.signals import reference_signals
from aves_convert.torch_files.safetensors_writer import write_safetensors
from aves_verify.backends.backend import Backend
from aves_verify.backends.recorded import KIND, SCHEMA, Recording, waveform_sha256
from aves_verify.comparison.weights import fingerprint
from aves_verify.loading.load import load
from aves_verify.sounds.inputs import Input, inputs
from aves_verify.sounds.memory import available, unusable
from aves_verify.subjects.subject import Subject


def make_recording(
    subject: Subject, backend: str, clips: tuple[AnyClip, ...] | None, path: Path, *, layers: Layers
) -> Recording:
    """Record a subject's fairseq or TorchAudio outputs on ``clips`` or the reference signals. Raises InputError."""
    loaded = load(subject, (backend,))
    config = loaded.config
    chosen = clips or reference_signals(receptive_field=config.receptive_field, hop=config.hop)
    free = available()
    for clip in chosen:
        problem = unusable(clip, config, free, layers=layers == "all")
        if problem:
            raise InputError(f"{problem}; nothing was recorded")
    given = inputs(chosen, receptive_field=config.receptive_field, normalize=loaded.normalize)
    assert loaded.exact is not None  # noqa: S101 - that needs a recording as the reference
    weights = fingerprint(loaded.exact.weights())
    return record(
        loaded.backends[0], given, path, layers=layers, normalize=loaded.normalize, config=config, weights=weights
    )


def record(
    backend: Backend,
    inputs: Iterable[Input],
    path: Path,
    *,
    layers: Layers,
    normalize: bool,
    config: EncoderConfig,
    weights: str,
) -> Recording:
    """Run a backend on every input and write its outputs to ``path``; a killed run leaves nothing half-written."""
    tensors: dict[str, NDArray[np.float32]] = {}
    hashes, names = [], []
    for i, item in enumerate(inputs):
        for layer, output in backend.run(item.waveform, layers=layers == "all").items():
            if output.dtype == np.float32:  # units are chosen by centroids that no recording knows
                tensors[f"{i}/{layer}"] = output
        hashes.append(waveform_sha256(item.waveform))
        names.append(item.name)
    identity = (SCHEMA, backend.name, backend.version, layers, normalize, config.to_json(), weights)
    about = Recording(*identity, inputs=tuple(hashes), names=tuple(names))
    write_safetensors(tensors, path, metadata={KIND: json.dumps(asdict(about))})
    return about
