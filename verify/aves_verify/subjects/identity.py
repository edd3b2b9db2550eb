"""Telling whose weights a file holds: a port under another configuration's name computes well, and the wrong thing.

Tensors are recognised by their bytes, whatever the file calls them and however it lays them out, against what is known
of the catalogue's other configurations: their files in the local store, the ledgers of their bundles, the lock file.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.bundle import read_bundle
from aves_artifacts.configurations.catalog import Configuration, catalog
from aves_artifacts.configurations.store import bundle_folder, place
from aves_artifacts.fetch.lock_file import default_lock_file
from aves_convert.hugging_face.stored_tensors import stored_tensors, weight_files
from aves_convert.torch_files.reader import open_torch_file
from aves_convert.torch_files.tensors import LazyTensor
from aves_verify.subjects.subject import FILES, Subject

_SMALLEST = 8  # elements; shorter tensors, and constant ones, may be alike by chance


def claims(subject: Subject) -> bool:
    """Whether the subject goes by the name of a configuration; stand-ins do not mean theirs."""
    names = {name for configuration in catalog().values() for name in (configuration.name, configuration.file_name)}
    return subject.source != "stand-in" and subject.name in names


def misnamed(subject: Subject, sha256: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each file of the subject, given with its hash, that holds another configuration's weights.

    That is: at least half of the other's tensors, bit for bit. Raises InputError for an unusable lock file.
    """
    others = [c for c in catalog().values() if subject.name not in (c.name, c.file_name)]
    locked = {entry.sha256: name for name, entry in default_lock_file().entries().items()}
    for name in FILES:
        path = subject.file(name)
        if path is None or name not in sha256:
            continue
        recorded = locked.get(sha256[name], "")
        if any(recorded.startswith(f"{other.file_name}.") for other in others):
            yield f"{name}: {path} is byte for byte {recorded}, as the lock file has it"
            continue
        found = _hashes(path, path.stat().st_mtime_ns)
        for other in others:
            known, where = _known(other)
            same = len(known & found)
            if known and 2 * same >= len(known):
                yield (
                    f"{name}: these are the weights of {other.name}: {same} of the {len(known)} tensors of {where} "
                    f"are in {path}, bit for bit"
                )


def _known(configuration: Configuration) -> tuple[frozenset[str], Path]:
    """The hashes of a configuration's tensors, and where they are from: the first of its files that tells."""
    folder = bundle_folder(configuration)
    try:
        ledger = read_bundle(folder).manifest.ledger
        hashes = {e.sha256 for e in ledger if e.action == "mapped" and e.dtype == "float32" and e.sha256 is not None}
        if hashes:
            return frozenset(hashes), folder
    except InputError:
        pass  # there is none
    for role in ("original", "torchaudio", "onnx"):
        path = place(configuration, role)
        if path.is_file():
            return _hashes(path, path.stat().st_mtime_ns), path
    return frozenset(), folder


@functools.lru_cache(maxsize=32)
def _hashes(path: Path, modified: int) -> frozenset[str]:  # noqa: ARG001 - a file that was written anew is another one
    """SHA-256 of every float32 tensor in a file that may tell whose it is; none where it cannot be read."""
    arrays = _of_graph(path) if path.suffix == ".onnx" else _of_folder(path) if path.is_dir() else _of_torch_file(path)
    try:
        return frozenset(_hash(array) for array in arrays if array.size >= _SMALLEST and np.ptp(array) != 0)
    except InputError:
        return frozenset()


def _of_torch_file(path: Path) -> Iterator[NDArray[np.float32]]:
    root = open_torch_file(path).root
    state_dict = root.get("model", root) if isinstance(root, dict) else {}
    tensors: Iterable[object] = state_dict.values() if isinstance(state_dict, dict) else ()
    for tensor in tensors:
        if isinstance(tensor, LazyTensor) and tensor.is_floating_point:
            yield tensor.float32()


def _of_folder(path: Path) -> Iterator[NDArray[np.float32]]:
    for tensor in stored_tensors(weight_files(path)).values():
        if tensor.is_floating_point:
            yield tensor.float32()


def _of_graph(path: Path) -> Iterator[NDArray[np.float32]]:
    """Every weight as it is and transposed: exporters turn the matrices of linear layers round."""
    from aves_convert.graph_files.weights import graph_weights  # onnx need not be installed

    for _, array in graph_weights(path):
        if array.dtype == np.float32:
            yield array
            if array.ndim == 2:
                yield array.T


def _hash(array: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
