"""Writing weights in the safetensors format, which holds tensors and cannot hold anything that runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.files import replacing


def write_safetensors(
    state_dict: Mapping[str, NDArray[np.float32]], path: Path, *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors to a safetensors file straight from their memory, and text beside them. Raises InputError.

    The same tensors give the same bytes, whatever their order. The file appears whole or not at all.
    """
    from safetensors.numpy import save_file

    # save_file is given addresses, and takes what lies there as contiguous without a word
    contiguous = {name: np.asarray(array, order="C") for name, array in state_dict.items()}
    with replacing(path) as temporary:
        save_file(contiguous, temporary, metadata={"format": "pt", **(metadata or {})})
