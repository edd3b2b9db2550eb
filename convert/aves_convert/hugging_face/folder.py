"""A folder that transformers loads a HuBERT or a wav2vec 2.0 from, opened without transformers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import reason_of
from aves_artifacts.bundle.manifest import MANIFEST
from aves_artifacts.files.documents import parse_json, read_file
from aves_artifacts.hugging_face.config import FolderConfig, read_config
from aves_artifacts.hugging_face.names import (
    ADAPTER,
    CONFIG,
    PREPROCESSOR,
    PROCESSOR,
    TOKENIZER,
    VOCABULARY,
    WEIGHTS,
)
from aves_artifacts.hugging_face.preprocessor import Preprocessor, read_preprocessor
from aves_convert.hugging_face.stored_tensors import stored_tensors, weight_files
from aves_convert.torch_files.tensors import LazyTensor

_MAX_JSON = 1 << 20  # bytes; configs have some thousand


@dataclass(frozen=True)
class Folder:
    """What a folder holds: its model's settings, what is done to waveforms before, and the tensors, none read."""

    path: Path
    config: FolderConfig
    preprocessor: Preprocessor
    tensors: Mapping[str, LazyTensor] = field(repr=False)  # by the names in the files


def is_folder(path: Path) -> bool:
    """Whether a path is a folder with a ``config.json``, and no bundle of ours."""
    return path.is_dir() and (path / CONFIG).is_file() and not (path / MANIFEST).is_file()


def folder_files(path: Path) -> list[Path]:
    """List the files that make up a model. Raises InputError for a folder of something else, or without weights."""
    _refuse_other(path)
    names = (CONFIG, PREPROCESSOR, PROCESSOR, VOCABULARY, TOKENIZER)
    return [*(path / name for name in names if (path / name).is_file()), *weight_files(path)]


def open_folder(path: Path) -> Folder:
    """Open a folder. Raises InputError for one of another model, by name, and for what is missing or damaged."""
    _refuse_other(path)
    config = read_config(_parsed(path / CONFIG), str(path / CONFIG))
    return Folder(path, config, _preprocessor(path), stored_tensors(weight_files(path)))


def _preprocessor(path: Path) -> Preprocessor:
    """What either file says, or both alike. Raises InputError."""
    found = []
    if (path / PREPROCESSOR).is_file():
        found.append(read_preprocessor(_parsed(path / PREPROCESSOR), str(path / PREPROCESSOR)))
    if (path / PROCESSOR).is_file():
        entries = _parsed(path / PROCESSOR)
        inside = entries.get("feature_extractor") if isinstance(entries, dict) else None
        if inside is not None:
            found.append(read_preprocessor(inside, str(path / PROCESSOR)))
    if not found:
        raise InputError(
            f"{path}: {PREPROCESSOR} is missing, and nothing else says whether the model was trained on normalised "
            'waveforms; take it from where the folder is from, or write one: {"do_normalize": false}'
        )
    if found[0] != found[-1]:
        raise InputError(
            f"{path}: {PREPROCESSOR} and {PROCESSOR} differ, and some versions of transformers read the one, some the "
            "other; keep one"
        )
    return found[0]


def _refuse_other(path: Path) -> None:
    """Raise InputError for what is no folder of a model."""
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; give the folder that has {CONFIG} and {WEIGHTS}")
    if (path / ADAPTER).is_file():
        raise InputError(
            f"{path}: an adapter to another model ({ADAPTER}); merge it into the model's own weights first"
        )
    if (path / CONFIG).is_file():
        return
    if (path / MANIFEST).is_file():
        raise InputError(f"{path}: a bundle, whose files are ports already; give what it was made of")
    raise InputError(
        f"{path}: a folder without {CONFIG}, so none of transformers; give the one that has it, or a checkpoint's file"
    )


def _parsed(path: Path) -> object:
    try:
        return parse_json(read_file(path, _MAX_JSON))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read it: {reason_of(error)}") from None
