"""Recording an original: one backend on the inputs that a verification would give it."""

from __future__ import annotations

from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_convert.graph.options import Layers
from aves_verify.backends.loading import load
from aves_verify.backends.recorded import Recording, record
from aves_verify.comparison.weights import fingerprint
from aves_verify.sounds.clip import AnyClip
from aves_verify.sounds.inputs import inputs
from aves_verify.sounds.memory import available, unusable
from aves_verify.sounds.signals import reference_signals
from aves_verify.subjects.subject import Subject


def make_recording(
    subject: Subject, backend: str, clips: tuple[AnyClip, ...] | None, path: Path, *, layers: Layers
) -> Recording:
    """Record ``backend``, fairseq or torchaudio, on ``clips`` or the reference signals. Raises InputError."""
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
