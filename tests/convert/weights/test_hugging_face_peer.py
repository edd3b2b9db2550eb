"""The graph and TorchAudio's model beside Hugging Face's HubertModel, a third implementation, on the same weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.graphs import encoder_graph
from tests.support.hugging_face import hubert_model
from tests.support.tiny_encoders import TINY, assert_exact, clip, run, torch_outputs, weights

from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.options import OnnxOptions

pytestmark = pytest.mark.slow

VARIANTS: dict[str, dict[str, Any]] = {
    "group norm, post-norm": {},
    "group norm, pre-norm": {"encoder_layer_norm_first": True},
    "layer norm, post-norm": {"extractor_mode": "layer_norm"},
    "layer norm, pre-norm, bias": {
        "extractor_mode": "layer_norm",
        "extractor_conv_bias": True,
        "encoder_layer_norm_first": True,
    },
    "group norm, bias, odd positions": {"extractor_conv_bias": True, "encoder_pos_conv_kernel": 7},
}


def hugging_face_outputs(
    config: EncoderConfig, state_dict: Mapping[str, torch.Tensor], waveform: torch.Tensor
) -> dict[str, np.ndarray]:
    """The outputs of HubertModel in the waveform's precision, under the graph's names."""
    model = hubert_model(config, state_dict).to(waveform.dtype)
    with torch.inference_mode():
        final = model(waveform).last_hidden_state
        layers: list[torch.Tensor] = []
        for layer in model.encoder.layers:
            layer.register_forward_hook(lambda _module, _inputs, output: layers.append(output))
        model(waveform)
    each = {f"layer.{i}": layer.numpy() for i, layer in enumerate(layers)}
    return {"embeddings": final.numpy(), **each}


@pytest.mark.parametrize("variant", VARIANTS)
def test_three_implementations_agree(variant: str) -> None:
    config = dataclasses.replace(TINY, **VARIANTS[variant])
    state_dict, waveform = weights(config), clip(3000, 2, offset=0.1)
    exact = torch_outputs(config, state_dict, waveform.double())
    peer = hugging_face_outputs(config, state_dict, waveform.double())
    assert peer.keys() == exact.keys()
    for name, array in exact.items():  # the same function, to the last digits of float64
        np.testing.assert_allclose(peer[name], array, rtol=1e-9, atol=1e-11, err_msg=name)
    assert_exact(run(encoder_graph(config, state_dict, OnnxOptions(layers="all")), waveform), peer)
    assert_exact(torch_outputs(config, state_dict, waveform), peer)
    assert_exact(hugging_face_outputs(config, state_dict, waveform), peer)
