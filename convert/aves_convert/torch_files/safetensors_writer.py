"""Writing weights in the safetensors format, which holds tensors and cannot hold anything that runs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line
from aves_artifacts.files.writing import replacing

_TORCHS = {"format": "pt"}  # the library whose tensors they are, which its own loaders ask for
_SYSTEMS = re.compile(r"\b(?:code: |os error )(\d+)")


def write_safetensors(
    tensors: Mapping[str, NDArray[np.float32]], path: Path, *, metadata: Mapping[str, str] = _TORCHS
) -> None:
    """Write tensors to a safetensors file straight from their memory, and text beside them. Raises InputError.

    The same tensors give the same bytes, whatever their order. The file appears whole or not at all.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    # save_file is given addresses, and takes what lies there as contiguous without a word
    contiguous = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(contiguous, temporary, metadata=dict(metadata))
        except SafetensorError as error:  # a full disk comes as its own error, with the system's as Rust writes it
            code = _SYSTEMS.search(str(error))
            reason = os.strerror(int(code[1])) if code else first_line(error)
            raise InputError(f"{path}: cannot write: {reason}") from None
