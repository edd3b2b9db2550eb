"""Reading a file wholly, as its fuzzing does: an AssertionError is a finding, an InputError is an answer."""

from __future__ import annotations

import json
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.inspection.identify import inspect


def inspected(path: Path) -> None:
    """What ``aves-convert inspect`` tells, for people and for programs."""
    found = inspect(path)
    if any(not line.isprintable() for line in found.to_text().split("\n")):
        raise AssertionError(f"text that steers a terminal: {found.to_text()!r}")
    json.loads(found.to_json())
    if found.problems:
        raise InputError(*found.problems)


def whole_checkpoint(path: Path) -> None:
    """Everything that is in a checkpoint."""
    checkpoint = read_checkpoint(path)
    for tensor in checkpoint.tensors.values():
        if tensor.read().nbytes != tensor.nbytes or tensor.float32().size != tensor.numel:
            raise AssertionError("a tensor of another size")
    json.dumps([str(checkpoint.model_config), str(checkpoint.task_config), checkpoint.dictionaries])
