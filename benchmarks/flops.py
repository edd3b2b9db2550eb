"""How many floating-point operations an encoder's forward pass needs, from its config alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def forward_flops(config: Mapping[str, Any], samples: int) -> int:
    """Of one waveform, products alone, two operations for each multiplication; the config is TorchAudio's."""
    length, channels, total = samples, 1, 0
    for width, kernel, stride in config["extractor_conv_layer_config"]:
        length = (length - kernel) // stride + 1
        total += 2 * length * width * channels * kernel
        channels = width
    dim, hidden = config["encoder_embed_dim"], config["encoder_ff_interm_features"]
    padded = length + 1 - config["encoder_pos_conv_kernel"] % 2  # an even kernel gives one frame more
    total += 2 * length * channels * dim
    total += 2 * padded * dim * (dim // config["encoder_pos_conv_groups"]) * config["encoder_pos_conv_kernel"]
    layer = 2 * length * (4 * dim * dim + 2 * dim * hidden) + 4 * length * length * dim
    return total + config["encoder_num_layers"] * layer
