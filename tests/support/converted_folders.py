"""Folders that were converted from tiny stand-ins, and what somebody changes in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from tests.support import stand_ins
from tests.support.transformers_folders import edit

from aves_convert.conversion.request import Source
from aves_convert.conversion.transformers import fairseq_to_transformers
from aves_convert.torch_files.safetensors_writer import write_safetensors

PREPROCESSOR = "preprocessor_config.json"


def folder(path: Path, variant: str = "base", **kwargs: Any) -> Path:
    """The folder of a tiny encoder, beside its checkpoint, which is ``path``.pt."""
    checkpoint = stand_ins.write(path.with_name(f"{path.name}.pt"), stand_ins.VARIANTS[variant], **kwargs)
    fairseq_to_transformers(Source(checkpoint), path)
    return path


def said(path: Path, file: str = "config.json", **entries: Any) -> Path:
    """The folder with other entries in one of its files; those that are None are left out."""
    edit(path / file, entries)
    return path


def stored(path: Path) -> dict[str, np.ndarray]:
    with safe_open(path / "model.safetensors", framework="numpy") as file:
        return {name: np.array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118


def with_tensors(path: Path, **tensors: np.ndarray | None) -> Path:
    """The folder with other tensors; those that are None are left out."""
    changed = {**stored(path), **{name.replace("__", "."): values for name, values in tensors.items()}}
    kept = {name: values for name, values in changed.items() if values is not None}
    write_safetensors(kept, path / "model.safetensors")
    return path
