"""The table of tensors: fairseq's name and TorchAudio's name of each, and which are dropped and why.

Templates have the holes ``{conv}`` (convolution of the extractor), ``{layer}`` (layer of the transformer) and ``{p}``
(weight and bias). They are expanded from the config to exact names before anything is converted.

Sources: fairseq 0.12.2 ``models/hubert/hubert.py`` and ``models/wav2vec/wav2vec2.py``; torchaudio
``models/wav2vec2/components.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aves_artifacts.encoder import EncoderConfig

# --- what may stand before a name -------------------------------------------------------------------------------------

WRAPPER = "module."  # torch's DataParallel and DistributedDataParallel
HEAD_PREFIX = "w2v_encoder."  # of a fine-tuned model
ENCODER_PREFIX = "w2v_encoder.w2v_model."

# --- mapped: fairseq -> TorchAudio -----------------------------------------------------------------------------------

CONVOLUTION = {
    "feature_extractor.conv_layers.{conv}.0.{p}": "feature_extractor.conv_layers.{conv}.conv.{p}",
}
# mode "default": one group norm, after the first convolution only
GROUP_NORM = {
    "feature_extractor.conv_layers.0.2.{p}": "feature_extractor.conv_layers.0.layer_norm.{p}",
}
# mode "layer_norm": after every convolution, between two transpositions, hence the ".2.1."
LAYER_NORM = {
    "feature_extractor.conv_layers.{conv}.2.1.{p}": "feature_extractor.conv_layers.{conv}.layer_norm.{p}",
}
# absent when the extractor's and the encoder's dimensions agree
PROJECTION = {
    "post_extract_proj.{p}": "encoder.feature_projection.projection.{p}",
}
ENCODER = {
    "layer_norm.{p}": "encoder.feature_projection.layer_norm.{p}",
    "encoder.pos_conv.0.bias": "encoder.transformer.pos_conv_embed.conv.bias",
    "encoder.pos_conv.0.weight_g": "encoder.transformer.pos_conv_embed.conv.weight_g",
    "encoder.pos_conv.0.weight_v": "encoder.transformer.pos_conv_embed.conv.weight_v",
    "encoder.layer_norm.{p}": "encoder.transformer.layer_norm.{p}",
    "encoder.layers.{layer}.self_attn.k_proj.{p}": "encoder.transformer.layers.{layer}.attention.k_proj.{p}",
    "encoder.layers.{layer}.self_attn.v_proj.{p}": "encoder.transformer.layers.{layer}.attention.v_proj.{p}",
    "encoder.layers.{layer}.self_attn.q_proj.{p}": "encoder.transformer.layers.{layer}.attention.q_proj.{p}",
    "encoder.layers.{layer}.self_attn.out_proj.{p}": "encoder.transformer.layers.{layer}.attention.out_proj.{p}",
    "encoder.layers.{layer}.self_attn_layer_norm.{p}": "encoder.transformer.layers.{layer}.layer_norm.{p}",
    "encoder.layers.{layer}.fc1.{p}": "encoder.transformer.layers.{layer}.feed_forward.intermediate_dense.{p}",
    "encoder.layers.{layer}.fc2.{p}": "encoder.transformer.layers.{layer}.feed_forward.output_dense.{p}",
    "encoder.layers.{layer}.final_layer_norm.{p}": "encoder.transformer.layers.{layer}.final_layer_norm.{p}",
}
# the letter classifier of a fine-tuned model; outside the encoder's prefix
CTC_HEAD = {
    "proj.{p}": "aux.{p}",
}


def mapping(config: EncoderConfig, *, has_projection: bool, prefix: str = "", head_prefix: str = "") -> dict[str, str]:
    """Map the exact fairseq name of every tensor of this geometry to its exact TorchAudio name.

    ``prefix`` stands before the encoder's names in the checkpoint (``w2v_encoder.w2v_model.`` in a fine-tuned model),
    ``head_prefix`` before the CTC head's.
    """
    convolutions = range(len(config.extractor_conv_layer_config))
    parameters = ("weight", "bias") if config.extractor_conv_bias else ("weight",)
    names = _expand(CONVOLUTION, prefix, conv=convolutions, p=parameters)
    names |= _expand(GROUP_NORM if config.extractor_mode == "group_norm" else LAYER_NORM, prefix, conv=convolutions)
    if has_projection:
        names |= _expand(PROJECTION, prefix)
    names |= _expand(ENCODER, prefix, layer=range(config.encoder_num_layers))
    if config.aux_num_out is not None:
        names |= _expand(CTC_HEAD, head_prefix)
    return names


# --- dropped, and why -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dropped:
    """A tensor that the encoder does not use. A shape entry is a size, or None where any size is right."""

    reason: str
    shape: tuple[int | None, ...]


_MASK_REASON = "embedding that replaces masked frames in pretraining; nothing is masked in use"
_HEAD_REASON = "projection of the pretraining loss; not part of the encoder"
_LABEL_REASON = "embeddings of the pretraining labels; not part of the encoder"
_GLU_REASON = "gate on the pretraining labels; not part of the encoder"
_QUANTIZER_REASON = "quantizer of the pretraining targets; not part of the encoder"


def dropped(
    model: str, cfg: Mapping[str, Any], config: EncoderConfig, *, label_sets: int, has_labels: bool
) -> dict[str, Dropped]:
    """Name, reason and shape of every tensor that a checkpoint has and the encoder does not use.

    A checkpoint that lacks one of them is not whole, and is refused: what only some have stands under a condition.
    ``model`` is fairseq's registered name, ``cfg`` its config. A HuBERT was pretrained on ``label_sets`` sets of
    labels; of a fine-tuned one ``has_labels`` says whether it still has their embeddings.
    """
    embed, channels = config.encoder_embed_dim, config.extractor_conv_layer_config[-1][0]
    final = cfg["final_dim"] if cfg["final_dim"] > 0 else embed
    found = {"mask_emb": Dropped(_MASK_REASON, (embed,))}
    labels = {"label_embs_concat": Dropped(_LABEL_REASON, (None, final))}
    if model.endswith("_ctc"):
        # fairseq takes the pretraining modules away before it fine-tunes, yet not HuBERT's label embeddings: those stay
        # unless the pretraining dictionaries were out of reach (hubert.py, remove_pretraining_modules)
        return found | (labels if has_labels and model == "hubert_ctc" else {})
    if model == "hubert":
        outputs = final * label_sets if cfg["untie_final_proj"] else final
        found |= labels | _linear("final_proj", outputs, embed, _HEAD_REASON)
    else:
        found |= _quantizer(cfg, channels, final) | _linear("final_proj", final, embed, _HEAD_REASON)
    if cfg["target_glu"]:
        found |= _linear("target_glu.0", final * 2, final, _GLU_REASON)
    return found


def _quantizer(cfg: Mapping[str, Any], channels: int, final: int) -> dict[str, Dropped]:
    """wav2vec 2.0's quantizer (fairseq ``GumbelVectorQuantizer``) and the projection of what it gives.

    ``cfg`` is fairseq's config, ``channels`` the extractor's last, ``final`` the size that the loss compares in.
    """
    if not cfg["quantize_targets"]:
        return _linear("project_q", final, channels, _QUANTIZER_REASON)
    dim = cfg["latent_dim"] if cfg["latent_dim"] > 0 else final
    codes = cfg["latent_groups"] * cfg["latent_vars"]
    dropped = {"quantizer.vars": Dropped(_QUANTIZER_REASON, (1, codes, dim // cfg["latent_groups"]))}
    depth, width = cfg["quantizer_depth"], channels * cfg["quantizer_factor"]
    if depth > 1:
        for i in range(depth - 1):
            columns = channels if i == 0 else width
            dropped |= _linear(f"quantizer.weight_proj.{i}.0", width, columns, _QUANTIZER_REASON)
        dropped |= _linear(f"quantizer.weight_proj.{depth - 1}", codes, width, _QUANTIZER_REASON)
    else:
        dropped |= _linear("quantizer.weight_proj", codes, channels, _QUANTIZER_REASON)
    return dropped | _linear("project_q", final, dim, _QUANTIZER_REASON)


def _linear(name: str, rows: int, columns: int, reason: str) -> dict[str, Dropped]:
    """Weight and bias of a dropped linear layer."""
    return {f"{name}.weight": Dropped(reason, (rows, columns)), f"{name}.bias": Dropped(reason, (rows,))}


def _expand(
    templates: Mapping[str, str], prefix: str, *, p: tuple[str, ...] = ("weight", "bias"), **holes: range
) -> dict[str, str]:
    """Fill every hole that a template has with every value of that hole."""
    names: dict[str, str] = {}
    for source, target in templates.items():
        fillings: list[dict[str, object]] = [{}]
        for hole, values in {"p": p, **holes}.items():
            if "{" + hole + "}" in source:
                fillings = [{**filling, hole: value} for filling in fillings for value in values]
        names |= {prefix + source.format(**filling): target.format(**filling) for filling in fillings}
    return names
