"""Measuring how far embeddings move when the input, or the way of running it, changes.

Some changes are the model's own nature (padding, gain, a constant offset, more audio): all backends must move alike.
Others should change nothing but rounding (a batch, threads, the runtime's optimisations).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.outputs import FINAL, Output, is_deep
from aves_convert.sounds.clip import SAMPLE_RATE, AnyClip
from aves_convert.sounds.network_input import network_input
from aves_verify.backends.backend import Backend
from aves_verify.backends.onnx_session import LEVELS, OnnxBackend
from aves_verify.backends.recorded import RecordedBackend
from aves_verify.backends.separate import SeparateBackend
from aves_verify.loading.load import Loaded
from aves_verify.sounds.inputs import PADDING

Array = NDArray[np.float32]
Kind = Literal["model", "rounding"]

_LONGEST = 2 * SAMPLE_RATE  # samples of the clip that is used


@dataclass(frozen=True)
class Sensitivity:
    """How far a backend's final embeddings move under one change."""

    change: str
    kind: Kind  # is a difference the model's nature, or nothing but rounding?
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


def characterise(loaded: Loaded, clips: Sequence[AnyClip]) -> tuple[Sensitivity, ...]:
    """Measure every change on the longest of the clips, its first two seconds; empty without a clip."""
    if not clips:
        return ()
    longest = max(clips, key=lambda clip: clip.samples)
    waveform = network_input(longest, normalize=loaded.normalize)[:, :_LONGEST]
    # a change that leaves less than one frame is none
    changed = {name: change(waveform) for name, change in CHANGES.items()}
    usable = {name: w for name, w in changed.items() if w.shape[1] >= loaded.config.receptive_field}
    # a recording has no answer to anything new
    able = [backend for backend in loaded.backends if not isinstance(backend, RecordedBackend)]
    output = _common(able)
    return tuple(found for backend in able for found in _measure(backend, output, waveform, usable) if output)


def _common(backends: Sequence[Backend]) -> str:
    """The embeddings, or where a graph has none the first output of numbers that all graphs give; empty: none."""
    graphs = [backend.gives for backend in backends if isinstance(backend, SeparateBackend) and backend.gives]
    for name in (FINAL, *(name for gives in graphs[:1] for name in gives)):
        output = Output.of(name)
        if all(name in gives for gives in graphs) and (output is None or output.kind != "units"):
            return name
    return ""


def _measure(backend: Backend, output: str, waveform: Array, changed: Mapping[str, Array]) -> Iterator[Sensitivity]:
    plain = _answer(lambda: _run(backend, waveform, output))
    for change, kind, run in _ways(backend, output, waveform, changed):
        yield _sensitivity(change, kind, backend.name, _answer(run), plain)


def _ways(
    backend: Backend, output: str, waveform: Array, changed: Mapping[str, Array]
) -> Iterator[tuple[str, Kind, Callable[[], Array]]]:
    """Every change, and what computes the embeddings under it."""
    for change, other in changed.items():
        yield change, "model", partial(_run, backend, other, output)
    if not isinstance(backend, SeparateBackend) or "threads" in backend.row.options:
        yield "one thread", "rounding", partial(_on_one_thread, backend, waveform, output)
    if isinstance(backend, OnnxBackend):
        for level in LEVELS:
            yield f"optimisation: {level}", "rounding", partial(_optimised, backend, waveform, output, level)
    batch = np.concatenate([waveform, waveform[:, ::-1], -waveform])
    yield "in a batch of 3", "rounding", lambda: _run(backend, batch, output)[:1]


def _answer(run: Callable[[], Array]) -> Array | None:
    """The embeddings; None where the backend does not run in this way, as a port that takes no batch."""
    try:
        return run()
    except InputError:
        return None


def _run(backend: Backend, waveform: Array, output: str) -> Array:
    layers = is_deep(output) and not isinstance(backend, SeparateBackend)  # a graph gives what was named unasked
    return backend.run(waveform, layers=layers)[output]


def _optimised(backend: OnnxBackend, waveform: Array, output: str, level: str) -> Array:
    return _run(SeparateBackend(backend.row, backend.with_options(optimisation=level)), waveform, output)


def _on_one_thread(backend: Backend, waveform: Array, output: str) -> Array:
    if isinstance(backend, SeparateBackend):
        return _run(SeparateBackend(backend.row, backend.with_options(threads="1")), waveform, output)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _run(backend, waveform, output)
    finally:
        torch.set_num_threads(threads)


def _sensitivity(change: str, kind: Kind, backend: str, moved: Array | None, plain: Array | None) -> Sensitivity:
    if moved is None or plain is None:
        return Sensitivity(change, kind, backend, None, None)
    frames = min(moved.shape[1], plain.shape[1])
    difference = moved[:, :frames].astype(np.float64) - plain[:, :frames]
    scale = float(np.sqrt(np.mean(np.square(plain, dtype=np.float64)))) or 1.0
    rms = float(np.sqrt(np.mean(difference * difference)))
    return Sensitivity(change, kind, backend, float(np.abs(difference).max()), rms / scale)
