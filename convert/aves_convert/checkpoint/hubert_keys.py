"""The table of tensors: fairseq's name and TorchAudio's name of each, and which are dropped and why.

Templates have the holes ``{conv}`` (convolution of the extractor), ``{layer}`` (layer of the transformer) and ``{p}``
(weight and bias). They are expanded from the config to exact names before anything is converted.

Sources: fairseq 0.12.2 ``models/hubert/hubert.py`` and ``models/wav2vec/wav2vec2.py``; torchaudio
``models/wav2vec2/components.py``; ContentVec ``models/hubert/contentvec.py`` and ``models/wav2vec/wav2vec2_1.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aves_artifacts.base.messages import printable
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
    """A tensor that the encoder does not use. A shape entry is a size, or None where any size is right.

    ``foreign``: fairseq's own class has no such tensor either.
    """

    reason: str
    shape: tuple[int | None, ...]
    foreign: bool = False


MASK_REASON = "embedding that replaces masked frames in pretraining; nothing is masked in use"
HEAD_REASON = "projection of the pretraining loss; not part of the encoder"
_LABEL_REASON = "embeddings of the pretraining labels; not part of the encoder"
_GLU_REASON = "gate on the pretraining labels; not part of the encoder"
QUANTIZER_REASON = "quantizer of the pretraining targets; not part of the encoder"
_CONTRAST_REASON = "projection of ContentVec's contrastive loss; not part of the encoder"
_SPEAKER_REASON = (
    "of ContentVec's layers behind the encoder's, whose norms are conditioned on the speaker; features are taken before"
)
AROUND_REASON = "of the model around the encoder; a port has no place for it"


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
    found = {"mask_emb": Dropped(MASK_REASON, (embed,))}
    labels = {"label_embs_concat": Dropped(_LABEL_REASON, (None, final))}
    if model.endswith("_ctc"):
        # fairseq takes the pretraining modules away before it fine-tunes, yet not HuBERT's label embeddings: those stay
        # unless the pretraining dictionaries were out of reach (hubert.py, remove_pretraining_modules)
        return found | (labels if has_labels and model == "hubert_ctc" else {})
    if model in ("hubert", "contentvec"):
        outputs = final * label_sets if cfg["untie_final_proj"] else final
        found |= labels | _linear("final_proj", outputs, embed, HEAD_REASON)
        found |= _speaker_layers(cfg, config, final) if model == "contentvec" else {}
    else:
        found |= _quantizer(cfg, channels, final) | _linear("final_proj", final, embed, HEAD_REASON)
    if cfg["target_glu"]:
        found |= _linear("target_glu.0", final * 2, final, _GLU_REASON)
    return found


def _speaker_layers(cfg: Mapping[str, Any], config: EncoderConfig, final: int) -> dict[str, Dropped]:
    """What ContentVec has beside HuBERT's tensors: its norms are two linear layers, from the speaker's embedding."""
    embed, forward, first = config.encoder_embed_dim, config.encoder_ff_interm_features, config.encoder_num_layers
    linear = {f"self_attn.{part}_proj": (embed, embed) for part in ("k", "v", "q", "out")}
    linear |= {"fc1": (forward, embed), "fc2": (embed, forward)}
    norms = ["encoder.cond_layer_norm"] if cfg["encoder_layers_1"] else []
    found = _linear("layer_proj", final, embed, _CONTRAST_REASON)
    for layer in range(first, first + cfg["encoder_layers_1"]):
        prefix = f"encoder.layers.{layer}"
        norms += [f"{prefix}.self_attn_layer_norm", f"{prefix}.final_layer_norm"]
        for name, (rows, columns) in linear.items():
            found |= _linear(f"{prefix}.{name}", rows, columns, _SPEAKER_REASON)
    for norm in norms:
        for part in ("weight_ln", "bias_ln"):
            found[f"{norm}.{part}.weight"] = Dropped(_SPEAKER_REASON, (embed, None))
    return {name: Dropped(rule.reason, rule.shape, foreign=True) for name, rule in found.items()}


def _quantizer(cfg: Mapping[str, Any], channels: int, final: int) -> dict[str, Dropped]:
    """wav2vec 2.0's quantizer (fairseq ``GumbelVectorQuantizer``) and the projection of what it gives.

    ``cfg`` is fairseq's config, ``channels`` the extractor's last, ``final`` the size that the loss compares in.
    """
    if not cfg["quantize_targets"]:
        return _linear("project_q", final, channels, QUANTIZER_REASON)
    dim = cfg["latent_dim"] if cfg["latent_dim"] > 0 else final
    codes = cfg["latent_groups"] * cfg["latent_vars"]
    dropped = {"quantizer.vars": Dropped(QUANTIZER_REASON, (1, codes, dim // cfg["latent_groups"]))}
    depth, width = cfg["quantizer_depth"], channels * cfg["quantizer_factor"]
    if depth > 1:
        for i in range(depth - 1):
            columns = channels if i == 0 else width
            dropped |= _linear(f"quantizer.weight_proj.{i}.0", width, columns, QUANTIZER_REASON)
        dropped |= _linear(f"quantizer.weight_proj.{depth - 1}", codes, width, QUANTIZER_REASON)
    else:
        dropped |= _linear("quantizer.weight_proj", codes, channels, QUANTIZER_REASON)
    return dropped | _linear("project_q", final, dim, QUANTIZER_REASON)


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


# --- other models that look like these --------------------------------------------------------------------------------

# A part of a tensor's name that only this kind of model has -> (what it is, what a port of it would need).
_FOREIGN: dict[str, tuple[str, str]] = {
    ".relative_attention_bias.": (
        "WavLM's gated relative positions",
        "torchaudio's wavlm_model, and a graph with that attention",
    ),
    "patch_embedding.": ("BEATs's patches of a spectrogram", "an encoder without convolutions over the waveform"),
    ".adapter_layer.": (
        "adapters in its layers, as MMS has",
        "an encoder that adds the adapter of one language to each layer's output",
    ),
    "modality_encoders.": ("the encoders of data2vec 2.0", "its attention with ALiBi biases"),
    "encoder.pos_conv.0.0.": (
        "a stack of positional convolutions, as data2vec has",
        "an encoder with these five convolutions, each with a layer norm",
    ),
    "encoder.pos_conv.0.running_mean": (
        "a batch-norm positional convolution",
        "that norm folded into a convolution without weight norm, which the encoder has no place for",
    ),
    ".conv_module.": ("conformer layers", "an encoder with conformer layers"),
    "encoder.pos_conv.0.parametrizations.": (
        "its weight norm as torch's parametrizations spell it",
        "the same tensors as weight_g (original0) and weight_v (original1), which older torch and fairseq save",
    ),
}


def foreign_features(names: Iterable[str]) -> list[str]:
    """Tell from the names of tensors what has no port: what it is, which tensor says so, what a port would need."""
    found: dict[str, str] = {}
    for name in names:
        for part, (what, needed) in _FOREIGN.items():
            if part not in found and part in name:
                found[part] = (
                    f"this model has {what} (tensor {printable(name)}); there is no faithful port of it, which would "
                    f"need {needed}"
                )
    return list(found.values())
