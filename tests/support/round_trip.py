"""A checkpoint to TorchAudio and back, and whether all came home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.convert import fairseq_to_torchaudio, torchaudio_to_fairseq
from aves_convert.conversion.request import Source, Target


def there(original: Path, **kwargs: Any) -> tuple[Path, Path]:
    """Write the port beside the checkpoint; its weights and its config."""
    weights, config = fairseq_to_torchaudio(Source(original, **kwargs), Target(original.parent, "x", force=True))
    return weights, config


def there_and_back(original: Path, **kwargs: Any) -> tuple[Path, tuple[str, ...]]:
    """The checkpoint made of the port, and the remarks on it."""
    weights, config = there(original, **kwargs)
    out = original.parent / "returned.pt"
    return out, torchaudio_to_fairseq(weights, config, original, out, force=True)


def assert_same_tensors(returned: Checkpoint, original: Checkpoint) -> None:
    assert list(returned.tensors) == list(original.tensors)
    for name, tensor in original.tensors.items():
        found = returned.tensors[name]
        assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape), name
        assert found.read().tobytes() == tensor.read().tobytes(), name


def assert_same_checkpoint(returned: Path, original: Path) -> None:
    one, other = read_checkpoint(returned), read_checkpoint(original)
    assert_same_tensors(one, other)
    assert one.model_config == other.model_config
    assert one.task_config == other.task_config
    assert one.dictionaries == other.dictionaries
    assert one.num_updates == other.num_updates
