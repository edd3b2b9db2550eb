"""What the clients are given."""

from __future__ import annotations

import numpy as np
from tests.runtimes.inputs import inputs


def test_the_projects_own_sounds() -> None:
    found = {one.name: one for one in inputs(16_000)}
    assert list(found) == ["400", "720", "4001", "16000", "16000+0.1", "16000-0.5", "3x16000"]
    assert [name for name, one in found.items() if one.offset] == ["16000+0.1", "16000-0.5"]
    assert found["3x16000"].waveform.shape == (3, 16_000)
    assert all(one.waveform.dtype == np.float32 for one in found.values())


def test_recordings_take_their_place_and_their_own_offset_is_seen() -> None:
    sound = (0.1 * np.random.default_rng(0).standard_normal(5_000)).astype(np.float32)
    found = {one.name: one for one in inputs(16_000, {"owl": sound, "whale": sound + np.float32(0.5)})}
    np.testing.assert_array_equal(found["owl, 4001"].waveform, sound[None, :4_001])
    assert not found["owl, 400"].offset
    assert found["owl, 16000-0.5"].offset
    assert found["whale, 400"].offset
    assert not found["whale, 16000-0.5"].offset  # which takes its offset away
