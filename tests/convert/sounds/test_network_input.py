"""Waveforms are prepared for the networks as fairseq does it."""

import numpy as np
import pytest
import torch

from aves_convert.sounds.clip import Clip
from aves_convert.sounds.network_input import network_input


def clip(name: str, samples: int, *, seed: int = 0, offset: float = 0.0) -> Clip:
    noise = np.random.default_rng([seed, samples]).standard_normal(samples) * 0.1 + offset
    return Clip(name, noise.astype(np.float32), "made here")


@pytest.mark.parametrize("samples", [400, 16_000])
@pytest.mark.parametrize("offset", [0.0, 0.4])
def test_normalisation_is_fairseqs(samples: int, offset: float) -> None:
    given = clip("a", samples, offset=offset)
    expected = torch.nn.functional.layer_norm(torch.tensor(given.waveform), (samples,)).numpy()
    found = network_input(given, normalize=True)
    assert found.shape == (1, samples)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-6)


def test_normalised_samples_are_the_same_bits_however_they_are_summed() -> None:
    """Recordings know them by their hash. Reversed, another library's sum would round elsewhere."""
    given = clip("a", 16_001, offset=0.3)
    turned = Clip("turned", np.ascontiguousarray(given.waveform[::-1]), "made here")
    a, b = network_input(given, normalize=True), network_input(turned, normalize=True)
    assert a.tobytes() == np.ascontiguousarray(b[:, ::-1]).tobytes()


def test_silence_stays_silence() -> None:
    silence = Clip("silence", np.zeros(800, dtype=np.float32), "made here")
    assert not network_input(silence, normalize=True).any()


def test_normalisation_is_what_fairseq_does() -> None:
    clip = Clip("x", (np.arange(800, dtype=np.float32) % 7) + 3, "x")
    wave = network_input(clip, normalize=True)
    assert wave.shape == (1, 800)
    assert abs(float(wave.mean())) < 1e-6
    assert abs(float(wave.std()) - 1) < 1e-4
    assert np.array_equal(network_input(clip, normalize=False)[0], clip.waveform)
