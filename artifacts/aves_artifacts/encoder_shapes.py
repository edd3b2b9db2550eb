"""The tensors of TorchAudio's wav2vec2 model, by arithmetic: a conversion needs neither torchaudio nor a model."""

from __future__ import annotations

from aves_artifacts.encoder_config import EncoderConfig


def encoder_shapes(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of the model, in its order, in the ``weight_g``/``weight_v`` dialect.

    Every torch from 2.0 on reads that dialect; only newer ones read ``parametrizations.weight.original0/1``.
    Source: torchaudio ``models/wav2vec2/components.py``.
    """
    dim, wide = config.encoder_embed_dim, config.encoder_ff_interm_features
    kernel, groups = config.encoder_pos_conv_kernel, config.encoder_pos_conv_groups
    shapes, channels = _extractor(config)
    shapes |= _norm("encoder.feature_projection.layer_norm", channels)
    shapes |= _linear("encoder.feature_projection.projection", dim, channels)
    positions = "encoder.transformer.pos_conv_embed.conv"
    shapes[f"{positions}.bias"] = (dim,)
    shapes[f"{positions}.weight_g"] = (1, 1, kernel)
    shapes[f"{positions}.weight_v"] = (dim, dim // groups, kernel)
    shapes |= _norm("encoder.transformer.layer_norm", dim)
    for layer in range(config.encoder_num_layers):
        stem = f"encoder.transformer.layers.{layer}"
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            shapes |= _linear(f"{stem}.attention.{name}", dim, dim)
        shapes |= _norm(f"{stem}.layer_norm", dim)
        shapes |= _linear(f"{stem}.feed_forward.intermediate_dense", wide, dim)
        shapes |= _linear(f"{stem}.feed_forward.output_dense", dim, wide)
        shapes |= _norm(f"{stem}.final_layer_norm", dim)
    if config.aux_num_out is not None:
        shapes |= _linear("aux", config.aux_num_out, dim)
    return shapes


def _extractor(config: EncoderConfig) -> tuple[dict[str, tuple[int, ...]], int]:
    """The convolutions' tensors, and the channels that come out."""
    shapes: dict[str, tuple[int, ...]] = {}
    channels = 1
    for index, (width, kernel, _) in enumerate(config.extractor_conv_layer_config):
        stem = f"feature_extractor.conv_layers.{index}"
        if index == 0 or config.extractor_mode == "layer_norm":
            shapes |= _norm(f"{stem}.layer_norm", width)
        shapes[f"{stem}.conv.weight"] = (width, channels, kernel)
        if config.extractor_conv_bias:
            shapes[f"{stem}.conv.bias"] = (width,)
        channels = width
    return shapes, channels


def _linear(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _norm(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}
