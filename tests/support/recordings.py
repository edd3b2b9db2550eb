"""Recordings of synthesised calls, as a user has them on disk: a folder for each label."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import soundfile

from aves_convert.sounds.clip import SAMPLE_RATE, Clip
from calls import synthesised_calls


@lru_cache
def calls(of_each: int = 36) -> dict[str, list[Clip]]:
    return synthesised_calls(of_each)


def write_recordings(folder: Path, labels: Sequence[str], of_each: int) -> Path:
    """A subfolder for each label with recordings in it."""
    for label in labels:
        (folder / label).mkdir(parents=True)
        for clip in calls()[label][:of_each]:
            soundfile.write(folder / label / f"{clip.name}.wav", clip.waveform, SAMPLE_RATE)
    return folder
