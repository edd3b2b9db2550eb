"""Tiny checkpoints with projections, by their sets of labels, and centroids for units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tests.support.stand_ins import TINY

from aves_convert.checkpoint.architecture import architecture
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.stand_in import checkpoint_contents
from aves_convert.torch_files.writer import write_torch_file
from aves_convert.weights.heads import Heads, heads_of

SMALL: dict[str, Any] = {**TINY, "encoder_layers": 3}
UNTIED: dict[str, Any] = {**SMALL, "untie_final_proj": True}
PRE_NORM: dict[str, Any] = {**UNTIED, "layer_norm_first": True, "extractor_mode": "layer_norm"}
TWO = ("km", "phn")


def checkpoint(path: Path, model: dict[str, Any] = SMALL, labels: tuple[str, ...] = ("km",), **kwargs: Any) -> Path:
    contents = checkpoint_contents(model, seed="heads", task={"labels": list(labels)}, **kwargs)
    write_torch_file(contents, path)
    return path


def heads(path: Path) -> Heads:
    read = read_checkpoint(path)
    return heads_of(read, architecture(read))


def centroids(path: Path, count: int = 7, dimension: int = 24, seed: int = 0) -> Path:
    np.save(path, np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32))
    return path
