"""Reading the centroids of units from the files that people keep them in: arrays, and nothing that could run."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line, listed, printable
from aves_artifacts.files.documents import read_file

_MOST = 1 << 20  # centroids; people have 50 to 5,000
_LARGEST = 1 << 30  # bytes of a file, and of an archive, unpacked
_EXPECTED = "expected a .npy, .npz or .safetensors file"
_PICKLE = (
    "a pickle, as joblib writes a k-means model, which runs code when it is opened: where you trust it, write its "
    "cluster_centers_ with numpy.save"
)


def read_centroids(path: Path, dimension: int) -> NDArray[np.float32]:
    """Read centroids [k, dimension] from a ``.npy``, ``.npz`` or ``.safetensors`` file, rounded to float32.

    A file of several arrays must have exactly one of that form, or one named ``centroids``. Raises InputError.
    """
    found = {name: array for name, array in _arrays(path).items() if array.ndim == 2 and array.shape[1] == dimension}
    found = {"centroids": found["centroids"]} if "centroids" in found else found
    if len(found) != 1:
        several = f"{len(found)} arrays of that form ({listed(sorted(map(printable, found)), 3)})"
        raise InputError(
            f"{path}: holds {several if found else 'no array of that form'}; expected centroids [k, {dimension}], "
            "one for each unit, of the layer's own features"
        )
    (values,) = found.values()
    if not 1 <= len(values) <= _MOST or values.dtype.kind != "f":
        raise InputError(f"{path}: holds {values.dtype} {list(values.shape)}; expected floating point [k, {dimension}]")
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(narrow).all():
        raise InputError(f"{path}: holds values that are NaN, infinite or beyond float32")
    if not (np.square(narrow, dtype=np.float64).sum(axis=1) <= np.finfo(np.float32).max).all():
        raise InputError(f"{path}: holds values so large that their distances are beyond float32")
    return narrow


def _refuse_bomb(path: Path, content: bytes) -> None:
    """Raise InputError for an archive that unpacks to more than centroids are."""
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
        if not all(entry.filename.endswith(".npy") for entry in entries):
            raise InputError(f"{path}: an archive of something else than arrays, as torch.save writes; {_EXPECTED}")
        size = sum(entry.file_size for entry in entries)
        if size > _LARGEST:
            raise InputError(
                f"{path}: unpacks to {size:,} bytes, more than centroids are; expected at most {_LARGEST:,}"
            )


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    from safetensors.numpy import load

    try:
        content = read_file(path, _LARGEST)
        if content.startswith(b"\x80"):
            raise InputError(f"{path}: {_PICKLE}")
        if content.startswith((b"\x93NUMPY", b"PK")):
            _refuse_bomb(path, content)
            loaded = np.load(io.BytesIO(content), allow_pickle=False)
            return {path.stem: loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded}
        return dict(load(content))
    except InputError:
        raise
    except Exception as error:  # whatever numpy makes of a header that it did not write
        raise InputError(f"{path}: cannot read centroids ({first_line(error)}); {_EXPECTED}") from None
