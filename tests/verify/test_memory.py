"""A clip that is too long for the memory at hand is told before it is run."""

from __future__ import annotations

import dataclasses

import numpy as np
import psutil
from tests.convert.tiny_encoders import TINY

from aves_verify.clip import Clip
from aves_verify.memory import available, needed, too_long

GIB = 2**30
BASE = dataclasses.replace(
    TINY,
    extractor_conv_layer_config=((512, 10, 5), *((512, 3, 2),) * 4, *((512, 2, 2),) * 2),
    encoder_embed_dim=768,
    encoder_num_heads=12,
)


def test_what_a_base_encoder_takes() -> None:
    """Peaks of processes that ran one clip, less what they held before it; the guard may not promise less."""
    for seconds, runtime, exact in ((10, 125, 375), (30, 417, 1125), (60, 988, 2259), (120, 5376, 4515)):  # MiB
        measured = (runtime + exact) * 2**20
        assert measured <= needed(BASE, seconds * 16_000) <= 1.3 * measured


def test_memory_grows_with_the_square_of_the_length_in_the_end() -> None:
    assert 1.9 < needed(BASE, 640_000) / needed(BASE, 320_000) < 2.3
    assert 3.5 < needed(BASE, 64_000_000) / needed(BASE, 32_000_000) < 4.1


def test_a_clip_too_long_is_told_with_the_length_that_fits() -> None:
    clip = Clip("long", np.zeros(16_000, np.float32), "long.wav")
    free = needed(BASE, 16_000)
    assert too_long(clip, BASE, free) == ""
    problem = too_long(clip, BASE, free - 1)
    assert problem.startswith(
        "long.wav: its 1.0 s would take about 0.1 GiB of memory, and 0.1 GiB are free, enough for 1.0 s"
    )
    assert problem.endswith("cut it into shorter clips, or use a machine with more memory")
    assert "enough for 0.0 s" in too_long(clip, BASE, 0)


def test_the_memory_at_hand_is_the_systems() -> None:
    assert 0 < available() <= psutil.virtual_memory().total
