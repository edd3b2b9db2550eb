"""Accounting for tensors: what became of each of a checkpoint's, and where each of a port's came from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import raise_if_any
from aves_artifacts.base.messages import printable
from aves_artifacts.bundle.manifest import LedgerEntry
from aves_convert.checkpoint.architecture import Architecture
from aves_convert.checkpoint.checkpoint import Checkpoint

_PROJECTION = "encoder.feature_projection.projection"


def account(
    checkpoint: Checkpoint, arch: Architecture, expected: Mapping[str, tuple[int, ...]]
) -> tuple[LedgerEntry, ...]:
    """Account for every tensor: one entry for each of the checkpoint, in the file's order, and each of the model.

    ``expected`` is the name and shape of every tensor of the TorchAudio model. No tensor is read.
    Raises InputError once, with every problem.
    """
    created = [] if arch.has_projection else _identity_projection(arch.config.encoder_embed_dim)
    problems = [f"missing {name}" for name in (*arch.mapping, *arch.dropped) if name not in checkpoint.tensors]
    ledger: list[LedgerEntry] = []
    for name, tensor in checkpoint.tensors.items():
        dtype = tensor.dtype.name
        if name in arch.mapping:
            target = arch.mapping[name]
            problems += _misshapen(name, tensor.shape, expected[target])
            if not tensor.is_floating_point:
                problems.append(f"{name} is {dtype}, expected floating point")
            ledger.append(LedgerEntry(name, target, "mapped", "", tensor.shape, dtype))
        elif name in arch.dropped:
            rule = arch.dropped[name]
            problems += _misshapen(name, tensor.shape, rule.shape)
            ledger.append(LedgerEntry(name, None, "dropped", rule.reason, tensor.shape, dtype))
        else:
            problems.append(f"unknown {printable(name)} {list(tensor.shape)}")
    config = "this config" if checkpoint.pretrained is None else f"the config of {checkpoint.pretrained}"
    raise_if_any(problems, f"{checkpoint.path}: not the tensors of a {arch.model_class} model with {config}")
    unmapped = set(expected) - set(arch.mapping.values()) - {entry.target for entry in created}
    raise_if_any(sorted(unmapped), f"{checkpoint.path}: the TorchAudio model has tensors that fairseq's has not")
    return (*ledger, *created)


def _misshapen(name: str, shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> list[str]:
    fits = len(shape) == len(wanted) and all(want in (size, None) for size, want in zip(shape, wanted, strict=True))
    return [] if fits else [f"{name} has shape {list(shape)}, expected {['any' if w is None else w for w in wanted]}"]


def _identity_projection(dim: int) -> list[LedgerEntry]:
    reason = (
        "fairseq has no projection where the extractor's and the encoder's dimensions agree; TorchAudio always has "
        "one, so it is the identity, which is exact in floating point"
    )
    return [
        LedgerEntry(None, f"{_PROJECTION}.weight", "created", reason, (dim, dim), "float32"),
        LedgerEntry(None, f"{_PROJECTION}.bias", "created", reason, (dim,), "float32"),
    ]


def identity(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Make the weight or the bias of a projection that changes nothing."""
    return np.eye(shape[0], dtype=np.float32) if len(shape) == 2 else np.zeros(shape, np.float32)
