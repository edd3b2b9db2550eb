"""Goldens: what the original computed in its own time, as samples of every layer, with where they come from.

One safetensors file for each model. A tensor for each layer [clips, values] holds the outputs at positions that follow
from the names of clip and layer alone; ``LAYER/rounding`` holds what the original lacked there of the float64 answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file
from tests.regression.models import FULL_SIZE

from aves_artifacts.base.errors import InputError
from aves_artifacts.encoder import EncoderConfig
from aves_convert.sounds.network_input import network_input
from aves_convert.sounds.signals import reference_signals

FOLDER = Path(__file__).parents[1] / "golden"
_KIND = "golden"
_ROUNDING = "/rounding"


@dataclass(frozen=True)
class Golden:
    """Outputs of the original [clips, values] by layer, the exact answers, and everything that made them."""

    clips: tuple[str, ...]
    original: Mapping[str, NDArray[np.float32]]
    exact: Mapping[str, NDArray[np.float64]]
    provenance: Mapping[str, Any]


def values(name: str) -> int:
    """How many values of each output are kept."""
    return 256 if name == FULL_SIZE else 64


def sample(output: NDArray[Any], clip: str, layer: str, count: int) -> NDArray[Any]:
    """The values at seeded positions; numpy guarantees the raw stream of this generator for all time."""
    key = int.from_bytes(hashlib.sha256(f"{clip}/{layer}".encode()).digest()[:16], "little")
    positions = np.random.PCG64(key).random_raw(count) % np.uint64(output.size)
    return np.ascontiguousarray(output.reshape(-1)[positions.astype(np.int64)])


def sampled(
    run: Callable[[NDArray[np.float32]], Mapping[str, NDArray[Any]]],
    waveforms: Mapping[str, NDArray[np.float32]],
    count: int,
) -> dict[str, NDArray[Any]]:
    """By layer, what an encoder gives at a golden's positions [clips, values]. Outputs are let go clip by clip."""
    found: dict[str, list[NDArray[Any]]] = {}
    for clip, waveform in waveforms.items():
        for layer, output in run(waveform).items():
            found.setdefault(layer, []).append(sample(np.asarray(output), clip, layer, count))
    return {layer: np.stack(rows) for layer, rows in found.items()}


def waveforms(config: EncoderConfig, *, normalize: bool) -> dict[str, NDArray[np.float32]]:
    """The reference signals [1, samples] as the network takes them."""
    clips = reference_signals(receptive_field=config.receptive_field, hop=config.hop)
    return {clip.name: network_input(clip, normalize=normalize) for clip in clips}


def clip_hashes(clips: Mapping[str, NDArray[np.float32]]) -> dict[str, str]:
    """SHA-256 of each waveform's samples."""
    return {name: hashlib.sha256(waveform.astype("<f4").tobytes()).hexdigest() for name, waveform in clips.items()}


def write_golden(golden: Golden, path: Path) -> None:
    """Write it."""
    tensors: dict[str, NDArray[np.float32]] = {}
    for layer, original in golden.original.items():
        tensors[layer] = original
        tensors[layer + _ROUNDING] = (original.astype(np.float64) - golden.exact[layer]).astype(np.float32)
    about = {"clips": list(golden.clips), "provenance": dict(golden.provenance)}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata={_KIND: json.dumps(about, sort_keys=True)})


def read_golden(path: Path) -> Golden:
    """Read it. Raises InputError where there is none."""
    if not path.is_file():
        raise InputError(f"{path}: no golden; make it with: nox -s goldens")
    with safe_open(str(path), framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        about = json.loads(file.metadata()[_KIND])
    original = {name: x for name, x in tensors.items() if not name.endswith(_ROUNDING)}
    exact = {name: x.astype(np.float64) - tensors[name + _ROUNDING] for name, x in original.items()}
    return Golden(tuple(about["clips"]), original, exact, about["provenance"])
