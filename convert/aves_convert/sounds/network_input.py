"""Preparing a waveform for the networks, as fairseq does."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from aves_convert.sounds.clip import AnyClip

_EPS = 1e-5  # torch's default for layer_norm


def network_input(clip: AnyClip, *, normalize: bool) -> NDArray[np.float32]:
    """Prepare a clip for the network [1, samples]; ``normalize``: zero mean and unit variance over the clip.

    Sums are rounded once, so the samples are the same bits on every machine, by which recordings know them.
    Source: fairseq ``data/audio/raw_audio_dataset.py``, ``postprocess``: ``F.layer_norm(feats, feats.shape)``.
    """
    samples = clip.waveform
    if not normalize:
        return samples[None]
    waveform = samples.astype(np.float64)
    centred = waveform - math.fsum(waveform) / len(waveform)
    variance = math.fsum(centred * centred) / len(waveform)
    return (centred / math.sqrt(variance + _EPS)).astype(np.float32)[None]
