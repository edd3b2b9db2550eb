"""Tiny stand-ins of every variant of encoder that converts, by the entries of their config that differ from TINY."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aves_convert.conversion.stand_in import GEOMETRIES, checkpoint_contents
from aves_convert.torch_files.writer import write_torch_file

TINY = GEOMETRIES["tiny"]
WAV2VEC2 = {"_name": "wav2vec2", "quantize_targets": True, "latent_vars": 6, "latent_groups": 2}
VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "layer norm": {"extractor_mode": "layer_norm", "conv_bias": True},
    "layer norm without bias": {"extractor_mode": "layer_norm"},
    "group norm with bias": {"conv_bias": True},
    "pre-norm": {"layer_norm_first": True, "extractor_mode": "layer_norm"},
    "no projection": {"encoder_embed_dim": 16},
    "odd positional kernel": {"conv_pos": 7, "conv_pos_groups": 2},
    "two convolutions": {"conv_feature_layers": "[(8,10,5)] + [(12,3,2)]"},
    "gated targets": {"target_glu": True},
    "untied": {"untie_final_proj": True},
    "wav2vec 2.0": WAV2VEC2,
    "wav2vec 2.0, deep quantizer": {**WAV2VEC2, "quantizer_depth": 3},
    "wav2vec 2.0, unquantised": {"_name": "wav2vec2"},
}


def write(path: Path, model: dict[str, Any], **kwargs: Any) -> Path:
    """Write the checkpoint of a tiny model with these entries; ``kwargs`` go to ``checkpoint_contents``."""
    write_torch_file(checkpoint_contents({**TINY, **model}, seed="test", **kwargs), path)
    return path
