"""Converting a checkpoint to a config and TorchAudio weights, with every tensor accounted for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import raise_if_any
from aves_artifacts.bundle.manifest import LedgerEntry
from aves_artifacts.encoder import EncoderConfig, encoder_shapes
from aves_convert.checkpoint.architecture import Architecture, architecture
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.weights.ledger import account, identity


@dataclass(frozen=True)
class TorchaudioPort:
    """A TorchAudio model's config and weights, and how they came from the checkpoint."""

    architecture: Architecture
    state_dict: Mapping[str, NDArray[np.float32]] = field(repr=False)  # contiguous float32, in the model's own order
    ledger: tuple[LedgerEntry, ...] = field(repr=False)

    @property
    def config(self) -> EncoderConfig:
        """The geometry, as ``wav2vec2_model`` takes it."""
        return self.architecture.config


def to_torchaudio(
    checkpoint: Checkpoint, *, allow_non_finite: bool = False, allow_unknown_config: bool = False
) -> TorchaudioPort:
    """Convert a checkpoint to TorchAudio's model; half precision is widened exactly, no value is changed.

    Raises InputError with every unknown, missing or misshapen tensor, for weights that are NaN or infinite unless
    ``allow_non_finite``, and for entries of the config that nobody knows unless ``allow_unknown_config``.
    """
    arch = architecture(checkpoint, allow_unknown_config=allow_unknown_config)
    expected = encoder_shapes(arch.config)
    ledger = account(checkpoint, arch, expected)
    by_target = {entry.target: entry for entry in ledger if entry.target is not None}
    state_dict: dict[str, NDArray[np.float32]] = {}
    non_finite = []
    for target in expected:
        entry = by_target[target]
        tensor = identity(entry.shape) if entry.source is None else checkpoint.tensors[entry.source].float32()
        # NaN and infinity show in the extremes, which need no temporary of the tensor's size as isfinite(tensor) does.
        with np.errstate(invalid="ignore"):
            finite = np.isfinite(tensor.min()) and np.isfinite(tensor.max())
        if not finite:
            count = int((~np.isfinite(tensor)).sum())
            non_finite.append(f"{entry.source} holds {count} values that are NaN or infinite")
        state_dict[target] = tensor
    if not allow_non_finite:
        raise_if_any(
            non_finite,
            f"{checkpoint.path}: damaged weights (a diverged training run?)",
            hint="{allow_non_finite} converts them as they are",
        )
    return TorchaudioPort(arch, state_dict, ledger)


def hashed(converted: TorchaudioPort, checkpoint: Checkpoint) -> TorchaudioPort:
    """Add the SHA-256 of every source tensor's bytes to the ledger of a port.

    Reads the tensors that the port does not have as they are stored, the dropped ones too. Raises InputError where one
    cannot be read.
    """
    ledger = tuple(
        entry if entry.source is None else replace(entry, sha256=_sha256(_stored(entry, converted, checkpoint)))
        for entry in converted.ledger
    )
    return replace(converted, ledger=ledger)


def _stored(entry: LedgerEntry, converted: TorchaudioPort, checkpoint: Checkpoint) -> NDArray[Any]:
    """A source tensor as it is in the file; what was float32 there was read already, and has not changed."""
    assert entry.source is not None  # noqa: S101 - the caller has looked
    tensor = checkpoint.tensors[entry.source]
    if entry.target is not None and tensor.dtype == np.float32:
        return converted.state_dict[entry.target]
    return tensor.read()


def _sha256(stored: NDArray[Any]) -> str:
    return hashlib.sha256(stored.reshape(-1).view(np.uint8).data).hexdigest()
