"""Positions and layers: what is computed in float64."""

from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np
import pytest
import torch
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, weights

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


def test_folding_takes_little_more_memory_than_its_result() -> None:
    rng = np.random.default_rng(0)
    v, g = rng.normal(size=(128, 32, 64)).astype(np.float32), rng.random((1, 1, 64)).astype(np.float32)
    tracemalloc.start()
    try:
        folded_weight_norm(g, v)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken < 1.2 * v.nbytes
