"""What users trip over, measured on one clip: how far embeddings move when the input or the way of running it changes.

Some changes are the model's own nature (padding, gain, a constant offset, more audio): all backends must move alike.
Others should change nothing but rounding (a batch, threads, the runtime's optimisations).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from aves_verify.backends import Backend, RunError
from aves_verify.backends.onnx_session import LEVELS, OnnxBackend
from aves_verify.backends.recorded import RecordedBackend
from aves_verify.clip import SAMPLE_RATE
from aves_verify.inputs import PADDING, Input
from aves_verify.loading import Loaded

Array = NDArray[np.float32]

_LONGEST = 2 * SAMPLE_RATE  # samples of the clip that is used


@dataclass(frozen=True)
class Sensitivity:
    """How far a backend's final embeddings move under one change."""

    change: str
    kind: Literal["model", "rounding"]  # is a difference the model's nature, or nothing but rounding?
    backend: str
    max_abs: float | None  # over the frames that both have; None where the backend does not run
    relative: float | None  # RMS of the difference over the RMS of the unchanged embeddings


# Changes of a waveform [1, samples], which are the model's nature.
CHANGES: dict[str, Callable[[Array], Array]] = {
    "0.5 s of zeros appended": lambda w: np.pad(w, ((0, 0), (0, PADDING))),
    "gain of 0.5": lambda w: w * np.float32(0.5),
    "offset of 0.1": lambda w: w + np.float32(0.1),
    "second half cut off": lambda w: np.ascontiguousarray(w[:, : w.shape[1] // 2]),
}


def characterise(loaded: Loaded, inputs: Sequence[Input]) -> tuple[Sensitivity, ...]:
    """Measure every change on the longest of the clips, its first two seconds; empty without a clip."""
    clips = [item for item in inputs if item.clip is not None]
    if not clips:
        return ()
    waveform = max(clips, key=lambda item: item.waveform.shape[1]).waveform[:, :_LONGEST]
    # a change that leaves less than one frame is none
    changed = {name: change(waveform) for name, change in CHANGES.items()}
    usable = {name: w for name, w in changed.items() if w.shape[1] >= loaded.config.receptive_field}
    found: list[Sensitivity] = []
    for backend in loaded.backends:
        if isinstance(backend, RecordedBackend):
            continue  # it has no answer to anything new
        try:
            found += _measure(backend, waveform, usable)
        except RunError:
            found.append(Sensitivity("any", "rounding", backend.name, None, None))
    return tuple(found)


def _measure(backend: Backend, waveform: Array, changed: dict[str, Array]) -> Iterator[Sensitivity]:
    plain = backend.run(waveform)["final"]
    for name, other in changed.items():
        yield _sensitivity(name, "model", backend, backend.run(other)["final"], plain)
    with _one_thread(backend) as single:
        yield _sensitivity("one thread", "rounding", backend, single.run(waveform)["final"], plain)
    if isinstance(backend, OnnxBackend):
        for level in LEVELS:
            other_session = OnnxBackend(backend.path, optimisation=level)
            yield _sensitivity(
                f"optimisation: {level}", "rounding", backend, other_session.run(waveform)["final"], plain
            )
    batch = np.concatenate([waveform, waveform[:, ::-1], -waveform])
    yield _sensitivity("in a batch of 3", "rounding", backend, backend.run(batch)["final"][:1], plain)


def _sensitivity(
    change: str, kind: Literal["model", "rounding"], backend: Backend, moved: Array, plain: Array
) -> Sensitivity:
    frames = min(moved.shape[1], plain.shape[1])
    difference = moved[:, :frames].astype(np.float64) - plain[:, :frames]
    scale = float(np.sqrt(np.mean(np.square(plain, dtype=np.float64)))) or 1.0
    rms = float(np.sqrt(np.mean(difference * difference)))
    return Sensitivity(change, kind, backend.name, float(np.abs(difference).max()), rms / scale)


@contextmanager
def _one_thread(backend: Backend) -> Iterator[Backend]:
    if isinstance(backend, OnnxBackend):
        yield OnnxBackend(backend.path, threads=1)
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield backend
    finally:
        torch.set_num_threads(threads)
