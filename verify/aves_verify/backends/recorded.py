"""Recordings of an original's outputs, made where fairseq runs, to compare with where it cannot be installed.

A recording is a safetensors file: tensors and text, nothing that could run. It holds the outputs for certain waveforms,
known by the SHA-256 of their samples, and a fingerprint of the weights that computed them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.documents import parse_json
from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line, listed, printable, quoted
from aves_artifacts.bundle.graph_contract import is_layer
from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.options import Layers
from aves_verify.backends.backend import Embeddings

SCHEMA = 1
ORIGINALS = ("fairseq", "torchaudio")  # what can be recorded
KIND = "aves-verify recording"


@dataclass(frozen=True)
class Recording:
    """What a recording says of itself."""

    schema: int
    backend: str  # which of ORIGINALS was recorded
    version: str
    layers: Layers
    normalize: bool
    config: str  # the EncoderConfig as JSON
    weights: str  # fingerprint of the weights, see ``aves_verify.comparison.weights.fingerprint``
    inputs: tuple[str, ...]  # SHA-256 of each waveform, in the order of the tensors' names
    names: tuple[str, ...]  # of the same, for people


class RecordedBackend:
    """Gives the outputs that were recorded, under the name of the backend that computed them."""

    def __init__(self, path: Path) -> None:
        """Raise InputError for a file that is no recording."""
        from safetensors import SafetensorError

        self.path = path
        try:
            self._file = _open(path)
            self.about = _about(self._file.metadata())
            self._names = tuple(self._file.keys())
            _check_tensors(self._file, self.about, self._names)
        except (SafetensorError, OSError, ValueError, TypeError) as error:
            raise InputError(
                f"{path}: no recording ({first_line(error)}); write one with: aves-verify record"
            ) from None
        self.config = EncoderConfig.from_json(self.about.config, where=str(path))
        self.name = self.kind = self.about.backend
        self.version = self.about.version

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
        """See ``Backend.run``. Raises InputError for a waveform or layers that were not recorded."""
        if layers and self.about.layers != "all":
            raise InputError(f"{self.path}: only the last layer was recorded", hint="record with {layers} all")
        sha256 = waveform_sha256(waveform)
        if sha256 not in self.about.inputs:
            others = listed([printable(name) for name in self.about.names], 3)
            raise InputError(
                f"{self.path}: holds no output for a waveform {list(waveform.shape)} with SHA-256 {sha256[:12]}…; it "
                f"was recorded on {len(self.about.names)} others ({others}); give the "
                "same audio as then, or record again"
            )
        prefix = f"{self.about.inputs.index(sha256)}/"
        names = [name for name in self._names if name.startswith(prefix)]
        outputs = {name.removeprefix(prefix): self._file.get_tensor(name) for name in names}
        return {name: value for name, value in outputs.items() if layers or not is_layer(name)}


def _open(path: Path) -> Any:  # safetensors' types leave out its methods
    from safetensors import safe_open

    return safe_open(str(path), framework="numpy")


def _about(metadata: Mapping[str, str] | None) -> Recording:
    """What a recording says of itself. Raises ValueError or TypeError where it is none, whoever wrote it."""
    if not metadata or KIND not in metadata:
        raise ValueError("a safetensors file of something else")
    entries = parse_json(metadata[KIND])
    if not isinstance(entries, dict):
        raise TypeError("its description is no JSON object")
    if entries.get("schema") != SCHEMA:
        raise ValueError(f"schema {quoted(entries.get('schema'))}, this version reads {SCHEMA}")
    lists = {name: value for name, value in entries.items() if name in ("inputs", "names")}
    wrong = [name for name, value in entries.items() if not _is_text(value, name)]
    if wrong:
        raise ValueError(f"its description has an unusable {printable(wrong[0])}")
    about = Recording(**{**entries, **{name: tuple(value) for name, value in lists.items()}})
    if not about.inputs or len(about.inputs) != len(about.names):
        raise ValueError(f"{len(about.inputs)} inputs with {len(about.names)} names")
    return about


def _is_text(value: object, name: str) -> bool:
    """Is an entry of the description of the kind that its name has?"""
    if name in ("inputs", "names"):
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if name == "normalize":
        return isinstance(value, bool)
    choices = {"layers": ("last", "all"), "backend": ORIGINALS}.get(name)
    return name == "schema" or (isinstance(value, str) and (choices is None or value in choices))


def _check_tensors(file: Any, about: Recording, names: tuple[str, ...]) -> None:
    """Raise ValueError where an output is missing or is no float32 [batch, frames, dim]."""
    for i, name in enumerate(about.names):
        if f"{i}/final" not in names:
            raise ValueError(f"the output for {printable(name)} is missing")
    for name in names:
        tensor = file.get_slice(name)
        if tensor.get_dtype() != "F32" or len(tensor.get_shape()) != 3:
            raise ValueError(f"{printable(name)} is {tensor.get_dtype()} {tensor.get_shape()}")


def waveform_sha256(waveform: NDArray[np.float32]) -> str:
    """Hash a waveform's shape and its little-endian samples."""
    digest = hashlib.sha256(repr(waveform.shape).encode())
    digest.update(np.ascontiguousarray(waveform, "<f4").tobytes())
    return digest.hexdigest()
