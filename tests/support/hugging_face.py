"""Hugging Face's HubertModel with TorchAudio's weights: a third implementation, to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from aves_artifacts.encoder import EncoderConfig
from aves_convert.weights.model import import_torchaudio

# Where a TorchAudio name begins so, Hugging Face's begins so; the longest fits. All that follows is the same.
PREFIXES = {
    "feature_extractor.": "feature_extractor.",
    "encoder.feature_projection.": "feature_projection.",
    "encoder.transformer.": "encoder.",
    "encoder.transformer.pos_conv_embed.conv.weight_g": "encoder.pos_conv_embed.conv.parametrizations.weight.original0",
    "encoder.transformer.pos_conv_embed.conv.weight_v": "encoder.pos_conv_embed.conv.parametrizations.weight.original1",
}


def hubert_model(config: EncoderConfig, state_dict: Mapping[str, NDArray[Any] | torch.Tensor]) -> Any:
    """HubertModel in evaluation mode; the weights fit strictly."""
    import_torchaudio()  # transformers imports it too, and fails where its extension does
    from transformers import HubertConfig, HubertModel

    channels, kernels, strides = zip(*config.extractor_conv_layer_config, strict=True)
    hubert = HubertConfig(
        feat_extract_norm=config.extractor_mode.removesuffix("_norm"),
        conv_dim=channels,
        conv_kernel=kernels,
        conv_stride=strides,
        conv_bias=config.extractor_conv_bias,
        hidden_size=config.encoder_embed_dim,
        num_conv_pos_embeddings=config.encoder_pos_conv_kernel,
        num_conv_pos_embedding_groups=config.encoder_pos_conv_groups,
        num_hidden_layers=config.encoder_num_layers,
        num_attention_heads=config.encoder_num_heads,
        intermediate_size=config.encoder_ff_interm_features,
        do_stable_layer_norm=config.encoder_layer_norm_first,
        mask_time_prob=0.0,  # no mask embedding: TorchAudio has none either
    )
    model = HubertModel(hubert)
    renamed = {}
    for name, tensor in state_dict.items():
        prefix = max((prefix for prefix in PREFIXES if name.startswith(prefix)), key=len)
        renamed[PREFIXES[prefix] + name.removeprefix(prefix)] = torch.as_tensor(tensor)
    model.load_state_dict(renamed, strict=True)
    return model.eval()
