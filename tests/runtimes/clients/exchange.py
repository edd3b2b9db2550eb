"""What the script of every client does: take a model's file and inputs, give outputs, times and what went wrong.

A client's script has this module beside it and numpy and its client around it, nothing of the project. It is called as
``SCRIPT MODEL INPUTS OUT``: each INPUTS/NAME.npy [batch, samples] gives OUT/NAME.npy [batch, frames, dim], and
OUT/result.json is written anew after each, so that a client that dies leaves behind how far it came.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[np.ndarray], Any]

_LONGEST = 400  # characters of an error
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def serve(load: Callable[[Path], Run], *packages: str) -> None:
    """Load the model and run every input twice; ``packages``: whose versions are told."""
    model, inputs, out = map(Path, sys.argv[1:4])
    result: dict[str, Any] = {"versions": {name: version(name) for name in packages}, "inputs": {}}
    started = time.perf_counter()
    try:
        run = load(model)
    except Exception as error:
        result["load_error"] = told(error)
        _write(result, out)
        return
    result["load_seconds"] = time.perf_counter() - started
    _write(result, out)
    for path in sorted(inputs.glob("*.npy")):
        result["inputs"][path.stem] = _twice(run, np.load(path), out / path.name)
        _write(result, out)


def version(package: str) -> str:
    """The version that is installed; empty where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def told(error: BaseException) -> str:
    """An error in one line, with that which caused it."""
    lines = [f"{type(error).__name__}: {' '.join(_COLOUR.sub('', str(error)).split())}"]
    if error.__cause__ is not None:
        lines.append(told(error.__cause__))
    return " <- ".join(lines)[:_LONGEST]


def _twice(run: Run, waveform: np.ndarray, output: Path) -> dict[str, Any]:
    """The first run, which may compile for a new shape, and a second one that is timed and must give the same."""
    try:
        first, first_seconds = _timed(run, waveform)
        second, seconds = _timed(run, waveform)
    except Exception as error:
        return {"error": told(error)}
    np.save(output, second)
    return {"first_seconds": first_seconds, "seconds": seconds, "same_again": bool(np.array_equal(first, second))}


def _timed(run: Run, waveform: np.ndarray) -> tuple[np.ndarray, float]:
    started = time.perf_counter()
    found = np.asarray(run(waveform))
    return found, time.perf_counter() - started


def _write(result: dict[str, Any], out: Path) -> None:
    (out / "result.json").write_text(json.dumps(result))
