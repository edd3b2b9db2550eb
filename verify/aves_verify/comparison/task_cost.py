"""What a smaller graph does to tasks: nearest neighbours, a linear probe and letters that come out otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_FRAMES = 50  # of each clip, evenly; all of an hour would say no more
_CLIPS = 200
_RIDGE = 1e-2  # of the frames' mean power: what is added to the diagonal, so that no direction is learnt by heart


@dataclass(frozen=True)
class TaskCost:
    """What a port changes of tasks, as shares of the frames, on so many of so many clips.

    ``neighbours``: frames whose nearest frame of another clip, by cosine, is another one. ``probe``: frames that a
    linear probe, trained on the original's to tell the clips apart, gives another answer for; ``probe_right``: how many
    the original's own are right for. ``letters``: frames for which a head's best letter is another; None without one.
    """

    backend: str
    clips: int
    frames: int
    neighbours: float
    probe: float
    probe_right: float
    letters: float | None = None


@dataclass
class TaskSamples:
    """Frames of the original and of the ports, kept while clips are compared; so many of each that memory is small."""

    _kept: dict[str, list[tuple[Array, Array]]] = field(default_factory=dict)
    _letters: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, backend: str, port: NDArray[np.float32], reference: NDArray[np.float32]) -> None:
        """Keep some frames of a clip's embeddings, both [1, frames, dim]; nothing where they cannot be compared."""
        kept = self._kept.setdefault(backend, [])
        if port.shape != reference.shape or len(kept) >= _CLIPS or not np.isfinite(port).all():
            return
        places = np.unique(np.linspace(0, port.shape[1] - 1, _FRAMES).astype(int))
        kept.append((port[0, places].astype(np.float64), reference[0, places].astype(np.float64)))

    def add_letters(self, backend: str, port: NDArray[np.float32], reference: NDArray[np.float32]) -> None:
        """Count the frames of logits [batch, frames, letters] for which the best letter is another."""
        if port.shape == reference.shape:
            flipped, frames = self._letters.get(backend, (0, 0))
            other = port.argmax(-1) != reference.argmax(-1)
            self._letters[backend] = flipped + int(other.sum()), frames + other.size

    def found(self) -> tuple[TaskCost, ...]:
        """What each port changes; nothing where there are not two clips with two frames each."""
        return tuple(self._cost(backend, kept) for backend, kept in self._kept.items() if _enough(kept))

    def _cost(self, backend: str, kept: list[tuple[Array, Array]]) -> TaskCost:
        port, reference = (np.concatenate([each[i] for each in kept]) for i in (0, 1))
        clip = np.repeat(np.arange(len(kept)), [len(each[0]) for each in kept])
        answers, right = _probe(port, reference, clip)
        flipped, frames = self._letters.get(backend, (0, 0))
        return TaskCost(
            backend=backend,
            clips=len(kept),
            frames=len(clip),
            neighbours=float((_neighbours(port, clip) != _neighbours(reference, clip)).mean()),
            probe=answers,
            probe_right=right,
            letters=flipped / frames if frames else None,
        )


def _enough(kept: list[tuple[Array, Array]]) -> bool:
    return sum(len(each[0]) >= 2 for each in kept) >= 2


def _neighbours(frames: Array, clip: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each frame the nearest one of another clip, by cosine."""
    unit = frames / np.maximum(np.linalg.norm(frames, axis=1, keepdims=True), 1e-30)
    alike = unit @ unit.T
    alike[clip[:, None] == clip] = -np.inf
    nearest: NDArray[np.int64] = alike.argmax(axis=1)
    return nearest


def _probe(port: Array, reference: Array, clip: NDArray[np.int64]) -> tuple[float, float]:
    """Shares of frames that a probe answers otherwise for the port, and rightly for the reference.

    Ridge regression to one number for each clip, on every other frame; the frames between are asked.
    """
    taught = np.zeros(len(clip), bool)
    taught[::2] = True
    mean = reference[taught].mean(axis=0)
    x, y = reference[taught] - mean, np.eye(clip.max() + 1)[clip[taught]]
    power = x.T @ x
    power[np.diag_indices_from(power)] += _RIDGE * max(float(np.trace(power)) / len(power), 1e-30)
    weights = np.linalg.solve(power, x.T @ (y - y.mean(axis=0)))
    asked = [((each[~taught] - mean) @ weights + y.mean(axis=0)).argmax(axis=1) for each in (port, reference)]
    return float((asked[0] != asked[1]).mean()), float((asked[1] == clip[~taught]).mean())
