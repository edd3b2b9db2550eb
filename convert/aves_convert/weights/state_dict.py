"""Reading TorchAudio weights, in either way that torch names weight norm, without executing anything in the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError, raise_if_any
from aves_artifacts.base.messages import printable
from aves_artifacts.encoder import EncoderConfig, encoder_shapes
from aves_convert.torch_files.reader import open_torch_file
from aves_convert.torch_files.tensors import LazyTensor


def read_state_dict(path: Path, config: EncoderConfig) -> dict[str, NDArray[np.float32]]:
    """Read the weights at ``path`` as float32 arrays, with weight norm named ``weight_g`` and ``weight_v``.

    Raises InputError where the file is no state dict or its tensors are not exactly those of the config's model.
    """
    file = open_torch_file(path)
    root = file.root
    if (
        not isinstance(root, dict)
        or not root
        or not all(type(name) is str and isinstance(value, LazyTensor) for name, value in root.items())
    ):
        raise InputError(
            f"{path}: not a TorchAudio state dict; expected the .torchaudio.pt that "
            "aves-convert fairseq2torchaudio writes"
        )
    problems = misfit(config, {name: tensor.shape for name, tensor in root.items()})
    raise_if_any(problems, f"{path}: not the weights of this config")
    file.refuse_repeated(root.values())
    return {old_weight_norm_name(name): tensor.float32() for name, tensor in root.items()}


def old_weight_norm_name(name: str) -> str:
    """Translate a tensor's name from torch's newer weight norm to ``weight_g`` and ``weight_v``."""
    for new, old in (
        ("parametrizations.weight.original0", "weight_g"),
        ("parametrizations.weight.original1", "weight_v"),
    ):
        if name.endswith(new):
            return name.removesuffix(new) + old
    return name


def misfit(config: EncoderConfig, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Tell which tensors are missing, unknown, misshapen or there twice; none where all fit the model."""
    expected = encoder_shapes(config)
    names = list(map(old_weight_norm_name, shapes))
    given = dict(zip(names, shapes.values(), strict=True))
    problems = [f"{printable(name)} is there in both spellings" for name, n in Counter(names).items() if n > 1]
    problems += [f"missing {name}" for name in expected if name not in given]
    problems += [f"unknown {printable(name)}" for name in given if name not in expected]
    return problems + [
        f"{name} has shape {list(given[name])}, expected {list(shape)}"
        for name, shape in expected.items()
        if name in given and given[name] != shape
    ]
