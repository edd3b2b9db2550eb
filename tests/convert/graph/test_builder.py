"""Weights on their way into a graph: each is accounted for, and its values stay."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, weights

from aves_artifacts.base.errors import InputError

# float8 came with torch 2.1
_SHORT = [getattr(torch, name) for name in ("float16", "bfloat16", "float8_e4m3fn") if hasattr(torch, name)]


def test_every_problem_of_the_weights_is_listed() -> None:
    state_dict: dict[str, Any] = dict(weights(TINY))
    del state_dict["encoder.transformer.layers.1.attention.k_proj.weight"]
    state_dict["mask_emb"] = torch.zeros(24)
    state_dict["encoder.transformer.layer_norm.bias"] = torch.zeros(23)
    state_dict["encoder.transformer.layer_norm.weight"] = torch.ones(24, dtype=torch.float64)
    with pytest.raises(InputError) as caught:
        encoder_graph(TINY, state_dict)
    message = str(caught.value)
    assert "missing encoder.transformer.layers.1.attention.k_proj.weight" in message
    assert "unknown mask_emb" in message
    assert "encoder.transformer.layer_norm.bias has shape [23], expected [24]" in message
    assert "encoder.transformer.layer_norm.weight is float64, expected float32" in message
    assert len(caught.value.problems) == 4


def test_a_long_list_of_problems_is_cut() -> None:
    with pytest.raises(InputError, match=r"and \d+ more"):
        encoder_graph(TINY, {})


@pytest.mark.parametrize("dtype", _SHORT)
def test_lower_precision_is_widened_exactly(dtype: torch.dtype) -> None:
    halves = {name: tensor.to(dtype) for name, tensor in weights(TINY).items()}
    widened = {name: tensor.float() for name, tensor in halves.items()}
    assert encoder_graph(TINY, halves) == encoder_graph(TINY, widened)


def test_numpy_arrays_do_as_well() -> None:
    arrays = {name: tensor.numpy() for name, tensor in weights(TINY).items()}
    assert encoder_graph(TINY, arrays) == encoder_graph(TINY, weights(TINY))


def test_the_order_of_the_state_dict_does_not_matter() -> None:
    state_dict = weights(TINY)
    backwards = dict(reversed(state_dict.items()))
    first, second = encoder_graph(TINY, state_dict), encoder_graph(TINY, backwards)
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)
