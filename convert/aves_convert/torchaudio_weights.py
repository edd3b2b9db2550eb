"""Reading a TorchAudio state dict, in either weight-norm dialect, without executing anything in the file."""

from __future__ import annotations

from pathlib import Path

import torch

from aves_artifacts.encoder_config import EncoderConfig
from aves_artifacts.errors import InputError
from aves_convert.torch_file import LazyTensor, open_torch_file
from aves_convert.torchaudio_model import mismatches, old_weight_norm_name

_MAX_LISTED = 10


def read_state_dict(path: Path, config: EncoderConfig) -> dict[str, torch.Tensor]:
    """The weights at ``path`` as float32 tensors, under the names of the ``weight_g``/``weight_v`` dialect.

    Raises InputError where the file is no state dict or its tensors are not exactly those of the config's model.
    """
    file = open_torch_file(path)
    root = file.root
    if not isinstance(root, dict) or not root or not all(isinstance(value, LazyTensor) for value in root.values()):
        raise InputError(
            f"{path}: not a TorchAudio state dict; expected the .torchaudio.pt that "
            "aves-convert fairseq2torchaudio writes"
        )
    problems = mismatches(config, {str(name): tensor.shape for name, tensor in root.items()})
    if problems:
        more = f"; and {len(problems) - _MAX_LISTED} more" if len(problems) > _MAX_LISTED else ""
        raise InputError(f"{path}: not the weights of this config: " + "; ".join(problems[:_MAX_LISTED]) + more)
    file.refuse_repeated(root.values())
    return {old_weight_norm_name(name): tensor.float32() for name, tensor in root.items()}
