"""The convolutions and their norm: what is computed in float64, and what that is for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tests.support.tiny_encoders import TINY, assert_exact, clip, rms, run, tiny, torch_outputs, weights

from aves_artifacts.base.errors import InputError
from aves_convert.graph.encoder import encoder_graph


def test_a_first_kernel_that_no_encoder_has_is_refused() -> None:
    layers = ((4, 2**20, 1), *TINY.extractor_conv_layer_config[1:])
    config = dataclasses.replace(TINY, extractor_conv_layer_config=layers)
    with pytest.raises(InputError, match="1048576 samples; the graph of a group norm is written up to 2048"):
        encoder_graph(config, {})


def test_a_convolutions_own_norm_is_in_float64_where_it_is() -> None:
    config = tiny("no-overlap-layer-norm")
    names = {node.name for node in encoder_graph(config, weights(config)).graph.node}
    assert [i for i in range(3) if f"/feature_extractor/conv_layers.{i}/layer_norm/Sub" in names] == [1, 2]


def test_one_position_alone_is_normalised_as_in_a_batch() -> None:
    """torch refuses to normalise a single value, unless it is one of several clips; what is left is the norm's bias."""
    config = dataclasses.replace(TINY, extractor_conv_layer_config=((7, 10, 5),))
    state_dict, waveform = weights(config), clip(10, 3, offset=0.3)
    model, exact = encoder_graph(config, state_dict), torch_outputs(config, state_dict, waveform.double())
    assert_exact(run(model, waveform), exact)
    assert_exact(run(model, waveform[:1]), {name: array[:1] for name, array in exact.items()})


@pytest.mark.parametrize("gain", [1.0, 1e-4, 1e-6, 10.0, 3e4])
@pytest.mark.parametrize("offset", [0.0, 0.1, -0.5])
def test_offsets_and_gains_cost_no_accuracy(offset: float, gain: float) -> None:
    state_dict = weights(TINY)
    waveform = clip(8000, offset=offset, gain=0.1 * gain)
    exact = torch_outputs(TINY, state_dict, waveform.double())["embeddings"]
    error = rms(run(encoder_graph(TINY, state_dict), waveform)["embeddings"] - exact)
    ordinary = rms(
        torch_outputs(TINY, state_dict, clip(8000).float())["embeddings"]
        - torch_outputs(TINY, state_dict, clip(8000).double())["embeddings"]
    )
    assert error < 1.5 * ordinary  # whatever the recording's level: no worse than torch on a clip of ordinary level


@pytest.mark.parametrize("level", [0.0, 0.25, 1e-30, 1e30])
def test_a_constant_waveform_gives_what_silence_gives(level: float) -> None:
    state_dict = weights(TINY)
    model = encoder_graph(TINY, state_dict)
    silence = run(model, torch.zeros(1, 2000))["embeddings"]
    np.testing.assert_array_equal(run(model, torch.full((1, 2000), level))["embeddings"], silence)
    exact = torch_outputs(TINY, state_dict, torch.zeros(1, 2000, dtype=torch.float64))
    assert_exact({"embeddings": silence}, exact)


def test_each_clip_of_a_batch_is_normalised_alone() -> None:
    model = encoder_graph(TINY, weights(TINY))
    loud, quiet = clip(3000, gain=1.0, offset=0.5), clip(3000, gain=1e-3)
    together = run(model, torch.cat([loud, quiet]))["embeddings"]
    for row, alone in zip(together, (loud, quiet), strict=True):
        np.testing.assert_allclose(row, run(model, alone)["embeddings"][0], rtol=1e-4, atol=1e-5)


def test_a_conv_bias_that_the_norm_cancels_is_still_accounted_for() -> None:
    config = tiny("conv-bias")
    state_dict = weights(config)
    del state_dict["feature_extractor.conv_layers.0.conv.bias"]
    with pytest.raises(InputError, match=r"missing feature_extractor\.conv_layers\.0\.conv\.bias"):
        encoder_graph(config, state_dict)
