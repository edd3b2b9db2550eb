"""The convolutions: what is computed in float64, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, tiny, weights

from aves_artifacts.base.errors import InputError
from aves_convert.graph.options import OnnxOptions

MIXED = OnnxOptions(precision="mixed")


def test_a_first_kernel_that_no_encoder_has_is_refused() -> None:
    layers = ((4, 2**20, 1), *TINY.extractor_conv_layer_config[1:])
    config = dataclasses.replace(TINY, extractor_conv_layer_config=layers)
    with pytest.raises(InputError, match="1048576 samples; the graph of a group norm is written up to 2048"):
        encoder_graph(config, {})


def test_a_convolutions_own_norm_is_in_float64_where_it_is() -> None:
    config = tiny("no-overlap-layer-norm")
    names = {node.name for node in encoder_graph(config, weights(config), MIXED).graph.node}
    assert [i for i in range(3) if f"/feature_extractor/conv_layers.{i}/layer_norm/Reciprocal" in names] == [1, 2]


def test_a_conv_bias_that_the_norm_cancels_is_still_accounted_for() -> None:
    config = tiny("conv-bias")
    state_dict = weights(config)
    del state_dict["feature_extractor.conv_layers.0.conv.bias"]
    with pytest.raises(InputError, match=r"missing feature_extractor\.conv_layers\.0\.conv\.bias"):
        encoder_graph(config, state_dict)
