"""Tiny encoders of every variant, what TorchAudio's model makes of a waveform, and what ONNX Runtime makes of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from aves_artifacts.encoder import EncoderConfig, encoder_shapes
from aves_convert.weights.model import load_model

TINY = EncoderConfig(
    extractor_mode="group_norm",
    extractor_conv_layer_config=((16, 10, 5), (16, 3, 2), (12, 3, 2), (16, 2, 2)),
    extractor_conv_bias=False,
    encoder_embed_dim=24,
    encoder_projection_dropout=0.1,
    encoder_pos_conv_kernel=16,
    encoder_pos_conv_groups=4,
    encoder_num_layers=3,
    encoder_num_heads=4,
    encoder_attention_dropout=0.1,
    encoder_ff_interm_features=48,
    encoder_ff_interm_dropout=0.1,
    encoder_dropout=0.1,
    encoder_layer_norm_first=False,
    encoder_layer_drop=0.05,
)

_CHANNEL_BLOCKS: dict[str, Any] = {  # of 16 everywhere, as in a model of full size
    "extractor_conv_layer_config": ((32, 10, 5), (16, 3, 2), (32, 3, 2), (16, 2, 2)),
    "encoder_embed_dim": 48,
    "encoder_pos_conv_groups": 3,
}

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "conv-bias": {"extractor_conv_bias": True},
    "pre-norm": {"encoder_layer_norm_first": True},
    "layer-norm": {"extractor_mode": "layer_norm"},
    "large": {"extractor_mode": "layer_norm", "extractor_conv_bias": True, "encoder_layer_norm_first": True},
    "odd-positions": {"encoder_pos_conv_kernel": 7},
    "one-position": {"encoder_pos_conv_kernel": 1},
    "ctc-head": {"aux_num_out": 5},
    "odd-head-size": {"encoder_num_heads": 8},  # 3 numbers per head: the scale is no power of two
    "stride-over-kernel": {"extractor_conv_layer_config": ((16, 3, 5), (16, 2, 2))},
    "one-convolution": {"extractor_mode": "layer_norm", "extractor_conv_layer_config": ((7, 10, 5),)},
    "two-convolutions": {"extractor_conv_bias": True, "extractor_conv_layer_config": ((6, 5, 2), (9, 3, 2))},
    "no-overlap": {"extractor_conv_layer_config": ((16, 10, 5), (12, 3, 2), (9, 3, 3), (7, 2, 2))},
    "no-overlap-layer-norm": {
        "extractor_mode": "layer_norm",
        "extractor_conv_bias": True,
        "extractor_conv_layer_config": ((6, 10, 5), (5, 2, 2), (9, 2, 2)),
    },
    "kernel-of-one": {
        "extractor_mode": "layer_norm",
        "extractor_conv_bias": True,
        "extractor_conv_layer_config": ((6, 1, 1), (9, 2, 5), (1, 1, 3)),
    },
    "channel-blocks": _CHANNEL_BLOCKS,
    "channel-blocks-layer-norm": {"extractor_mode": "layer_norm", "extractor_conv_bias": True, **_CHANNEL_BLOCKS},
    "one-layer": {"encoder_layer_norm_first": True, "encoder_num_layers": 1},
    "odd-sizes": {
        "encoder_embed_dim": 15,
        "encoder_num_heads": 5,
        "encoder_pos_conv_groups": 3,
        "encoder_ff_interm_features": 11,
        "aux_num_out": 1,
    },
}


def tiny(variant: str) -> EncoderConfig:
    return dataclasses.replace(TINY, **VARIANTS[variant])


def weights(config: EncoderConfig, seed: int = 0) -> dict[str, torch.Tensor]:
    """Seeded weights; norms and biases as far from 1 and 0 as training takes them."""
    generator = torch.Generator().manual_seed(seed)
    state_dict = {}
    for name, shape in encoder_shapes(config).items():
        noise = torch.randn(shape, generator=generator)
        if name.endswith(("weight_g", "layer_norm.weight")):
            state_dict[name] = 1 + 0.3 * noise
        elif name.endswith("bias"):
            state_dict[name] = 0.2 * noise
        else:
            state_dict[name] = noise * math.sqrt(1.5 / math.prod(shape[1:]))
    return state_dict


def clip(samples: int, batch: int = 1, *, offset: float = 0.0, gain: float = 0.1) -> torch.Tensor:
    return gain * torch.randn(batch, samples, generator=torch.Generator().manual_seed(samples)) + offset


def torch_outputs(
    config: EncoderConfig, state_dict: Mapping[str, torch.Tensor], waveform: torch.Tensor
) -> dict[str, np.ndarray]:
    """What the graph must give, computed by TorchAudio's model in the waveform's precision."""
    model = load_model(config, state_dict).to(waveform.dtype)
    with torch.inference_mode():
        each, _ = model.extract_features(waveform)
        final = model.encoder.transformer.layer_norm(each[-1]) if config.encoder_layer_norm_first else each[-1]
        outputs = {"embeddings": final} | {f"layer.{i}": layer for i, layer in enumerate(each)}
        if model.aux is not None:
            outputs["logits"] = model(waveform)[0]
    return {name: tensor.numpy() for name, tensor in outputs.items()}


def open_session(
    model: onnx.ModelProto, level: str = "ORT_ENABLE_ALL", threads: int = 1
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.__members__[level]
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def answers(session: onnxruntime.InferenceSession, waveform: torch.Tensor) -> dict[str, np.ndarray]:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"waveform": waveform.numpy()}), strict=True))


def run(model: onnx.ModelProto, waveform: torch.Tensor) -> dict[str, np.ndarray]:
    return answers(open_session(model), waveform)


def rms(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(array.astype(np.float64)))))


def assert_exact(found: Mapping[str, np.ndarray], exact: Mapping[str, np.ndarray]) -> None:
    """Within float32 rounding of the float64 answer."""
    for name, array in found.items():
        assert array.dtype == np.float32
        assert array.shape == exact[name].shape
        np.testing.assert_allclose(array, exact[name], rtol=1e-5, atol=2e-5 * rms(exact[name]), err_msg=name)
