"""Recordings of an original's outputs, made where fairseq runs, to compare with where it cannot be installed.

A recording is a safetensors file: tensors and text, nothing that could run. It holds the outputs for certain waveforms,
known by the SHA-256 of their samples, and a fingerprint of the weights that computed them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line, listed, printable, quoted
from aves_artifacts.bundle.outputs import is_deep
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.documents import MAX_DOCUMENT, parse_json
from aves_artifacts.files.file_bytes import FileBytes
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
        self.path = path
        try:
            self._data = FileBytes(path)
            begin, header = _header(self._data)
            self.about = _about(header.pop("__metadata__", None))
            self._places = _places(header, begin, len(self._data))
            for i, name in enumerate(self.about.names):
                if f"{i}/final" not in self._places:
                    raise ValueError(f"the output for {printable(name)} is missing")
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"{path}: no recording ({first_line(error)}); write one with: aves-verify record"
            ) from None
        self.config = EncoderConfig.from_json(self.about.config, where=str(path))
        self.name = self.kind = self.about.backend
        self.version = self.about.version

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
        """See ``Encoder.run``. Raises InputError for a waveform or layers that were not recorded."""
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
        outputs = {name.removeprefix(prefix): name for name in self._places if name.startswith(prefix)}
        return {output: self._output(name) for output, name in outputs.items() if layers or not is_deep(output)}

    def _output(self, name: str) -> NDArray[np.float32]:
        start, shape = self._places[name]
        return self._data.array(start, 4 * math.prod(shape)).view("<f4").reshape(shape).astype(np.float32, copy=False)


_Place = tuple[int, tuple[int, ...]]  # of a tensor: its first byte and its shape


def _header(data: FileBytes) -> tuple[int, dict[str, Any]]:
    """Where a safetensors file's tensors begin, and what it says of them. Raises ValueError for another file.

    Its own library maps the file into memory, and a file that is cut off meanwhile would end the process.
    """
    size = int.from_bytes(data[:8], "little")
    if not 0 < size <= min(MAX_DOCUMENT, len(data) - 8):
        raise ValueError("no safetensors file, or one that is cut off")
    header = parse_json(data[8 : 8 + size])
    if not isinstance(header, dict):
        raise ValueError("no safetensors file: its header is no JSON object")  # noqa: TRY004 - all are told alike
    return 8 + size, header


def _about(metadata: object) -> Recording:
    """What a recording says of itself. Raises ValueError or TypeError where it is none, whoever wrote it."""
    if not isinstance(metadata, dict) or not isinstance(metadata.get(KIND), str):
        raise ValueError("a safetensors file of something else")  # noqa: TRY004 - all are told alike
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


def _places(header: Mapping[str, Any], begin: int, end: int) -> dict[str, _Place]:
    """Where each output lies. Raises ValueError for one that is no float32 [batch, frames, dim], or not in the file."""
    found = {}
    for name, entry in header.items():
        entry = entry if isinstance(entry, dict) else {}
        shape, at = entry.get("shape"), entry.get("data_offsets")
        if entry.get("dtype") != "F32" or not _are_sizes(shape, 3):
            told = shape if _are_sizes(shape, 2) else quoted(shape)
            raise ValueError(f"{printable(name)} is {quoted(entry.get('dtype'))} {told}")
        if not _are_sizes(at, 2) or at[1] - at[0] != 4 * math.prod(shape) or begin + at[1] > end:
            raise ValueError(f"{printable(name)} does not lie in the file")
        found[name] = (begin + at[0], tuple(shape))
    return found


def _are_sizes(value: object, count: int) -> TypeGuard[list[int]]:
    return isinstance(value, list) and len(value) == count and all(type(n) is int and n >= 0 for n in value)


def waveform_sha256(waveform: NDArray[np.float32]) -> str:
    """Hash a waveform's shape and its little-endian samples."""
    digest = hashlib.sha256(repr(waveform.shape).encode())
    digest.update(np.ascontiguousarray(waveform, "<f4").tobytes())
    return digest.hexdigest()
