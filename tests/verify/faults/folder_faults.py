"""Mistakes in the folder that transformers loads: in its tensors, in its settings, in what is done to waveforms."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from tests.verify.faults.fault import FILE, REFUSED, Fault, Kind

from aves_convert.torch_files.safetensors_writer import write_safetensors

Tensors = dict[str, np.ndarray]
_POSITIONS = "encoder.pos_conv_embed.conv.parametrizations.weight.original"
_POSITIONAL = "positional convolution"


def in_tensors(name: str, *stages: str, encoder: Kind = "post-norm", pt: bool = True) -> Callable[[Any], Fault]:
    def fault(change: Callable[[Tensors], object]) -> Fault:
        def damage(weights: Path, _config: Path) -> None:
            with safe_open(weights, framework="numpy") as file:
                tensors = {each: np.array(file.get_tensor(each)) for each in file.keys()}  # noqa: SIM118
            change(tensors)
            write_safetensors(tensors, weights, metadata={"format": "pt"} if pt else {})

        return Fault(f"folder: {name}", stages, "transformers", damage, encoder)

    return fault


def in_settings(
    name: str, *stages: str, file: str = "config.json", encoder: Kind = "post-norm", **entries: Any
) -> Fault:
    def damage(_weights: Path, config: Path) -> None:
        path = config.with_name(file)
        path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))

    return Fault(f"folder: {name}", stages, "transformers", damage, encoder)


def exchange(tensors: Tensors, one: str, other: str) -> None:
    for name in [name for name in tensors if name.startswith(one)]:
        there = other + name.removeprefix(one)
        tensors[name], tensors[there] = tensors[there], tensors[name]


def rounded(tensors: Tensors) -> None:
    for name, values in tensors.items():
        tensors[name] = values.astype(np.float16).astype(np.float32)


def stored_in_half(tensors: Tensors) -> None:
    for name, values in tensors.items():
        tensors[name] = values.astype(np.float16)


def scaled(name: str, factor: float) -> Callable[[Tensors], None]:
    return lambda tensors: tensors.update({name: tensors[name] * np.float32(factor)})


def without(name: str) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.pop(name)


def magnitude_over_the_wrong_axis(tensors: Tensors) -> None:
    """As who norms each output's weights, and then brings the result into the shape that is wanted."""
    direction = tensors[f"{_POSITIONS}1"]
    norms = np.sqrt((direction.astype(np.float64) ** 2).sum((1, 2)))
    kernel = direction.shape[2]
    tensors[f"{_POSITIONS}0"] = np.resize(norms, (1, 1, kernel)).astype(np.float32)


def both_spellings(tensors: Tensors) -> None:
    """What one reader takes is right, what another takes is not."""
    old = _POSITIONS.removesuffix("parametrizations.weight.original") + "weight_"
    tensors[f"{old}g"] = tensors[f"{_POSITIONS}0"] * np.float32(2)
    tensors[f"{old}v"] = tensors[f"{_POSITIONS}1"]


_PREPROCESSOR = "preprocessor_config.json"
_ATTENTION = "encoder.layers.1.attention"

FOLDER_FAULTS = (
    in_tensors("queries and keys of a layer exchanged", "layer 1")(
        lambda tensors: exchange(tensors, f"{_ATTENTION}.q_proj", f"{_ATTENTION}.k_proj")
    ),
    in_tensors("two layers exchanged", "layer 0")(
        lambda tensors: exchange(tensors, "encoder.layers.0.", "encoder.layers.1.")
    ),
    in_tensors("the two norms of a layer exchanged", "layer 2")(
        lambda tensors: exchange(tensors, "encoder.layers.2.layer_norm", "encoder.layers.2.final_layer_norm")
    ),
    in_tensors("a projection 1 % larger", "projection")(scaled("feature_projection.projection.weight", 1.01)),
    in_tensors("a bias of the keys doubled, which no output shows", "layer 1")(scaled(f"{_ATTENTION}.k_proj.bias", 2)),
    in_tensors("weights rounded to float16", "conv block 0")(rounded),
    in_tensors("weights stored in float16", "conv block 0")(stored_in_half),
    in_tensors("weight norm: magnitude and direction exchanged", REFUSED)(
        lambda tensors: exchange(tensors, f"{_POSITIONS}0", f"{_POSITIONS}1")
    ),
    in_tensors("weight norm: magnitude over the wrong axis", _POSITIONAL)(magnitude_over_the_wrong_axis),
    in_tensors("weight norm in both spellings, one of them doubled", REFUSED)(both_spellings),
    in_tensors("a tensor that is missing, which transformers makes up", REFUSED)(
        without("encoder.layers.0.feed_forward.output_dense.bias")
    ),
    in_tensors("the embedding of masked frames is missing", FILE)(without("masked_spec_embed")),
    in_tensors("the embedding of masked frames negated", FILE)(scaled("masked_spec_embed", -1)),
    in_tensors("a tensor of no use", REFUSED)(lambda tensors: tensors.update(extra=np.zeros(3, np.float32))),
    in_tensors("the last norm's scale set to one", "last layer norm", encoder="pre-norm")(
        lambda tensors: tensors.update({"encoder.layer_norm.weight": np.ones(24, np.float32)})
    ),
    in_settings("do_normalize turned on", FILE, file=_PREPROCESSOR, do_normalize=True),
    in_settings("do_normalize turned off", FILE, file=_PREPROCESSOR, encoder="pre-norm", do_normalize=False),
    in_settings("a padding mask, of a norm over the whole clip", FILE, file=_PREPROCESSOR, return_attention_mask=True),
    in_settings("no padding mask", FILE, file=_PREPROCESSOR, encoder="pre-norm", return_attention_mask=False),
    in_settings("padding on the left", REFUSED, file=_PREPROCESSOR, padding_side="left"),
    in_settings("another sample rate", FILE, file=_PREPROCESSOR, sampling_rate=8000),
    in_settings("num_feat_extract_layers short", REFUSED, num_feat_extract_layers=3),
    in_settings("another layer_norm_eps", REFUSED, layer_norm_eps=1e-12),
    in_settings("another activation", REFUSED, hidden_act="gelu_new"),
    in_settings("half as many heads", "layer 0", num_attention_heads=2),
    in_settings("called post-norm", _POSITIONAL, encoder="pre-norm", do_stable_layer_norm=False),
    in_settings("called pre-norm", _POSITIONAL, do_stable_layer_norm=True),
    in_settings("loaded in half precision", FILE, torch_dtype="float16"),
    in_settings("another layer drop", FILE, layerdrop=0.5),
    in_settings("called a wav2vec 2.0", FILE, model_type="wav2vec2", architectures=["Wav2Vec2Model"]),
    in_settings("code of its own", REFUSED, auto_map={"AutoModel": "modeling.Model"}),
)
