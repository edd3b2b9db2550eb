"""Inspecting a folder of transformers, or weights without theirs: which model it is, and whether it converts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.manifest import MANIFEST
from aves_artifacts.files.documents import parse_json, read_file
from aves_artifacts.hugging_face.names import CONFIG
from aves_convert.checkpoint.forms import kind_of
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.hugging_face.folder import folder_files
from aves_convert.hugging_face.stored_tensors import PLACES
from aves_convert.inspection.checkpoints import conversion_facts, tensor_facts
from aves_convert.inspection.finding import Inspection, shell_command
from aves_convert.torch_files.safetensors_reader import open_safetensors

_MAX_JSON = 1 << 20  # bytes; as where the folder is opened
_KIND = "folder of transformers"


def is_model_folder(path: Path) -> bool:
    """Whether a folder is no bundle, and has the settings or the weights of a model of transformers."""
    return not (path / MANIFEST).is_file() and any((path / name).is_file() for name in (CONFIG, *PLACES))


def folder_around(path: Path) -> Path | None:
    """Find the folder of transformers whose settings or weights a file is; None for any other file."""
    folder = path.parent
    try:
        if not _is_transformers(folder / CONFIG):
            return None
        return folder if path.name == CONFIG or path.name in {file.name for file in folder_files(folder)} else None
    except (InputError, OSError, ValueError):
        return None  # whatever it is, it is told by itself


def _is_transformers(config: Path) -> bool:
    """Whether settings are those of a model of transformers: a ``config.json`` may be of anything."""
    entries = parse_json(read_file(config, _MAX_JSON))
    return isinstance(entries, dict) and "model_type" in entries


def inspect_model_folder(folder: Path) -> Inspection:
    """Tell which model a folder holds; no tensor is read."""
    try:
        checkpoint = read_checkpoint(folder)
        files = folder_files(folder)
    except InputError as error:
        return Inspection(folder, _KIND, problems=error.problems)
    facts: dict[str, Any] = {
        "files": [file.name for file in files],
        "bytes": sum(file.stat().st_size for file in files),
        **tensor_facts(checkpoint.tensors.values()),
    }
    problems = conversion_facts(checkpoint, facts)
    facts["converts"] = not problems
    words = ("bundle", folder, "--out", "ports")
    return Inspection(folder, _KIND, facts, None if problems else shell_command("aves-convert", *words), problems)


def inspect_lone_weights(path: Path) -> Inspection | None:
    """Tell of weights in safetensors that no settings lie beside; None where they are no model's of transformers."""
    tensors = open_safetensors(path)
    if kind_of(tensors) != "Hugging Face state dict":
        return None
    problem = f"{path}: the weights of a model of transformers, without {CONFIG} beside them; give the folder with both"
    facts = {"bytes": path.stat().st_size, **tensor_facts(tensors.values())}
    return Inspection(path, "weights of transformers", facts, problems=(problem,))
