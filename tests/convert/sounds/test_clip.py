import hashlib
import re

import numpy as np
import pytest

from aves_artifacts.base.errors import InputError
from aves_convert.sounds.clip import Clip, StoredClip, too_short


def test_a_clip_knows_its_length_and_its_hash() -> None:
    waveform = np.array([0.5, -0.25, 0.0, 1.0], dtype=np.float32)
    clip = Clip("four", waveform, "synthesised")
    assert clip.duration == 4 / 16_000
    assert clip.sha256 == hashlib.sha256(b"\0\0\0\x3f\0\0\x80\xbe\0\0\0\0\0\0\x80\x3f").hexdigest()


def test_messages_call_a_clip_by_its_source_or_else_its_name() -> None:
    waveform = np.zeros(4, np.float32)
    assert (Clip("four", waveform).source, Clip("four", waveform, "a.wav").source) == ("four", "a.wav")


def test_a_clip_cannot_be_changed_and_leaves_the_callers_array_alone() -> None:
    waveform = np.zeros(4, dtype=np.float32)
    clip = Clip("zeros", waveform, "synthesised")
    waveform[0] = 1.0
    assert clip.waveform[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        clip.waveform[0] = 1.0


@pytest.mark.parametrize("waveform", [np.zeros(4), np.zeros((1, 4), dtype=np.float32), np.zeros(4, dtype=np.int16)])
def test_other_arrays_are_refused(waveform: np.ndarray) -> None:
    with pytest.raises(TypeError, match=r"bad: expected float32 \[samples\]"):
        Clip("bad", waveform, "synthesised")


def test_a_clip_shorter_than_the_receptive_field_is_refused_and_named() -> None:
    clip = Clip("short", np.zeros(399, dtype=np.float32), "recordings/short.wav")
    assert too_short(clip, 399) == ""
    assert re.search(r"^recordings/short\.wav: 399 samples .* at least 400 \(25 ms\)", too_short(clip, 400))


def test_stored_samples_are_read_when_they_are_asked_for_and_not_kept() -> None:
    made: list[Clip] = []

    def read() -> Clip:
        made.append(Clip("x", np.arange(8, dtype=np.float32), "x.wav"))
        return made[-1]

    stored = StoredClip("x", "x.wav", 8, read)
    assert (stored.duration, too_short(stored, 8), len(made)) == (8 / 16_000, "", 0)
    assert np.array_equal(stored.waveform, np.arange(8))
    assert stored.waveform is made[1].waveform
    assert len(made) == 2


def test_a_recording_that_changes_while_it_is_in_use_is_refused() -> None:
    stored = StoredClip("x", "x.wav", 8, lambda: Clip("x", np.zeros(9, dtype=np.float32), "x.wav"))
    with pytest.raises(InputError, match=r"x\.wav: changed while it was in use, from 8 samples at 16 kHz to 9"):
        _ = stored.waveform
