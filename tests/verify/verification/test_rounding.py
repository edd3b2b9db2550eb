"""What float32 leaves of one input: the original in that precision, with its own sums and with coarse ones."""

import numpy as np
import pytest
import torch
from tests.support.tiny_encoders import VARIANTS, clip, rms, tiny, weights

from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.verification.rounding import in_float32


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_way_is_the_encoder_but_for_rounding(variant: str) -> None:
    config, waveform = tiny(variant), clip(3000, batch=2).numpy()
    exact = TorchaudioBackend(config, weights(config), dtype=torch.float64)
    wanted = exact.run(waveform, layers=True)
    for found in in_float32(exact, config, waveform, tuple(wanted)):
        assert list(found) == list(wanted)
        for name, value in found.items():
            assert value.dtype == np.float32
            assert rms(value - wanted[name]) < 1e-4 * rms(wanted[name])


def test_with_an_offset_a_variance_from_squares_is_far_less_exact() -> None:
    own, squares, deviations = errors(clip(3000, offset=0.5, gain=1e-3).numpy())
    assert squares > 5 * own
    assert deviations < squares


def errors(waveform: np.ndarray) -> list[float]:
    """RMS, of each way."""
    config = tiny("base")
    exact = TorchaudioBackend(config, weights(config), dtype=torch.float64)
    wanted = exact.run(waveform)["final"]
    return [rms(found["final"] - wanted) for found in in_float32(exact, config, waveform, ("final",))]


def test_outputs_that_the_encoder_does_not_have_are_left_out() -> None:
    config = tiny("base")
    exact = TorchaudioBackend(config, weights(config), dtype=torch.float64)
    found, *_ = in_float32(exact, config, clip(2000).numpy(), ("final", "logits"))
    assert list(found) == ["final"]
