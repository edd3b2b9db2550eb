"""What a reduced output costs: how far it is from the one that it stands for, in decibels and as angles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cost:
    """How far embeddings are from their reference, over a clip and frame by frame.

    Signal-to-noise ratios are in dB, 10·log10(|reference|² / |port - reference|²): infinite where both are equal, minus
    infinity where a silent reference has noise, or where anything is no finite number. Cosines are those of the angle
    between a frame and its reference: 1 where both are zero, 0 where only one is.
    """

    snr: float  # of the whole clip
    worst_frame_snr: float
    median_frame_snr: float
    worst_cosine: float
    median_cosine: float


def cost(port: NDArray[Any], reference: NDArray[Any]) -> Cost:
    """Measure what ``port`` costs against ``reference``, both [..., frames, dim], in float64.

    Raises ValueError where they differ in shape, or have no frame.

    >>> cost(np.float32([[1, 0], [0, 2]]), np.float32([[1, 0], [0, 2]])).snr
    inf
    >>> cost(np.float32([[1, 0.1], [0, 1]]), np.float32([[1, 0], [0, 1]])).worst_frame_snr.__round__(3)
    20.0
    """
    if port.shape != reference.shape or port.ndim < 2 or port.size == 0:
        raise ValueError(f"expected two times [..., frames, dim], found {list(port.shape)}, {list(reference.shape)}")
    frames, exact = (each.astype(np.float64).reshape(-1, each.shape[-1]) for each in (port, reference))
    signal, noise = energies(frames, exact)
    by_frame, cosines = _decibels(signal, noise), _cosines(frames, exact)
    whole = _decibels(signal.sum(keepdims=True), noise.sum(keepdims=True))
    return Cost(
        snr=float(whole[0]),
        worst_frame_snr=float(by_frame.min()),
        median_frame_snr=_median(by_frame),
        worst_cosine=float(cosines.min()),
        median_cosine=_median(cosines),
    )


def energies(port: NDArray[Any], reference: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum the squares of each frame's reference, and of its difference from that; of [..., dim] to [...]."""
    frames, exact = port.astype(np.float64), reference.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.square(exact).sum(axis=-1), np.square(frames - exact).sum(axis=-1)


def _decibels(signal: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 10 * (np.log10(signal) - np.log10(noise))
    ratio = np.where(noise == 0, np.inf, ratio)
    return np.where(np.isfinite(signal) & np.isfinite(noise), ratio, -np.inf)


def _cosines(frames: NDArray[np.float64], exact: NDArray[np.float64]) -> NDArray[np.float64]:
    """By the distance between unit vectors: as a sum of products it would have no digits left near 1."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        lengths = [np.sqrt(np.square(each).sum(axis=1, keepdims=True)) for each in (frames, exact)]
        one, other = (each / length for each, length in zip((frames, exact), lengths, strict=True))
        cosines = 1 - np.square(one - other).sum(axis=1) / 2
    silent = [length[:, 0] == 0 for length in lengths]
    cosines = np.where(silent[0] | silent[1], (silent[0] & silent[1]).astype(np.float64), cosines)
    return np.where(np.isfinite(cosines), np.clip(cosines, -1, 1), -1.0)


def _median(values: NDArray[np.float64]) -> float:
    """The lower one of the two in the middle: between infinities there is no mean."""
    return float(np.sort(values)[(len(values) - 1) // 2])
