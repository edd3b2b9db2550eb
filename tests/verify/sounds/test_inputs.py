"""What the encoders are given."""

import numpy as np
import pytest

from aves_convert.sounds.clip import SAMPLE_RATE, Clip
from aves_verify.sounds.inputs import BATCH, PADDING, Input, inputs

FIELD = 400


def clip(name: str, samples: int, *, seed: int = 0, offset: float = 0.0) -> Clip:
    noise = np.random.default_rng([seed, samples]).standard_normal(samples) * 0.1 + offset
    return Clip(name, noise.astype(np.float32), "made here")


def made(*clips: Clip, field: int = FIELD, normalize: bool = False) -> dict[str, Input]:
    return {item.name: item for item in inputs(clips, receptive_field=field, normalize=normalize)}


def test_every_clip_is_given_by_itself_then_padded_and_in_a_batch() -> None:
    a, b = clip("a", 3000), clip("b", 5000)
    found = made(a, b)
    assert list(found) == ["a", "b", "b, zero-padded", "batch of 3"]
    for one in (a, b):
        assert np.array_equal(found[one.name].waveform, one.waveform[None])
        assert found[one.name].clip is one
    assert found["b, zero-padded"].clip is None
    assert found["batch of 3"].clip is None


def test_padding_is_silence_behind_the_longest_clip() -> None:
    short, long = clip("short", 3000), clip("long", 3 * SAMPLE_RATE)
    padded = made(short, long)["long, zero-padded"].waveform
    assert padded.shape == (1, 2 * SAMPLE_RATE + PADDING)
    assert np.array_equal(padded[0, : 2 * SAMPLE_RATE], long.waveform[: 2 * SAMPLE_RATE])
    assert not padded[0, 2 * SAMPLE_RATE :].any()


def test_padding_is_silence_after_normalisation_too() -> None:
    """Padded before it, silence would become a constant other than 0."""
    padded = made(clip("a", 4000, offset=0.5), normalize=True)["a, zero-padded"].waveform
    assert abs(float(padded[0, :4000].mean())) < 1e-6
    assert not padded[0, 4000:].any()


@pytest.mark.parametrize("lengths", [(4000,), (4000, 5000), (4000, 5000, 6000, 7000), (FIELD, FIELD), (FIELD,)])
def test_the_rows_of_a_batch_all_differ(lengths: tuple[int, ...]) -> None:
    """Rows that are alike could be exchanged without a trace."""
    rows = made(*(clip(f"{i}", length, seed=i) for i, length in enumerate(lengths)))["batch of 3"].waveform
    assert rows.shape == (BATCH, max(FIELD, max(lengths) // 2))
    assert rows.flags.c_contiguous
    assert len({row.tobytes() for row in rows}) == BATCH


def test_rows_come_from_clips_that_are_long_enough_and_heard() -> None:
    silence = Clip("silence", np.zeros(5000, dtype=np.float32), "made here")
    a, b, tiny = clip("a", 5000), clip("b", 5000, seed=1), clip("tiny", 450)
    rows = made(tiny, silence, a, b)["batch of 3"].waveform
    assert np.array_equal(rows[0], a.waveform[:2500])
    assert np.array_equal(rows[1], b.waveform[:2500])
    assert np.array_equal(rows[2], a.waveform[:2500][::-1])


def test_nothing_but_silence_still_makes_a_batch() -> None:
    silence = Clip("silence", np.zeros(5000, dtype=np.float32), "made here")
    assert made(silence)["batch of 3"].waveform.shape == (BATCH, 2500)


def test_long_receptive_fields_are_filled() -> None:
    found = made(clip("a", 3 * SAMPLE_RATE), field=2 * SAMPLE_RATE)
    assert found["batch of 3"].waveform.shape == (BATCH, 2 * SAMPLE_RATE)


def test_no_clips_make_no_inputs() -> None:
    assert made() == {}
