"""Positions and layers: what is computed in float64."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tests.support.tiny_encoders import TINY, weights

from aves_convert.graph.encoder import encoder_graph
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph.transformer import folded_weight_norm


@pytest.mark.parametrize(("layers", "first"), [(1, 0), (2, 1), (3, 1), (12, 6)])
def test_the_last_half_of_the_layers_is_in_float64_with_mixed_precision(layers: int, first: int) -> None:
    config = dataclasses.replace(TINY, encoder_num_layers=layers)
    graph = encoder_graph(config, weights(config), OnnxOptions(precision="mixed")).graph
    names = {node.name for node in graph.node}
    found = [i for i in range(layers) if f"/encoder/transformer/layers.{i}/layer_norm/Reciprocal" in names]
    assert found == list(range(first, layers))


def test_weight_norm_is_folded_in_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    v, g = torch.randn(24, 6, 16, generator=generator), torch.rand(1, 1, 16, generator=generator)
    exact = (g.double() * v.double() / v.double().norm(dim=(0, 1), keepdim=True)).numpy()
    np.testing.assert_array_equal(folded_weight_norm(g.numpy(), v.numpy()), exact.astype(np.float32))
