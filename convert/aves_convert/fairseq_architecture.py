"""What a fairseq checkpoint's config says: the encoder's geometry, and which tensors belong beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aves_artifacts.encoder_config import EncoderConfig
from aves_artifacts.errors import InputError
from aves_convert import hubert_keys
from aves_convert.conv_feature_layers import parse_conv_feature_layers
from aves_convert.fairseq_checkpoint import Checkpoint
from aves_convert.hubert_keys import Dropped

# The defaults of fairseq 0.12.2's HubertConfig; Wav2Vec2Config has the same. fairseq fills in what an old file lacks.
DEFAULTS: dict[str, Any] = {
    "extractor_mode": "default",
    "conv_feature_layers": "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2",
    "conv_bias": False,
    "encoder_embed_dim": 768,
    "dropout_input": 0.0,
    "conv_pos": 128,
    "conv_pos_groups": 16,
    "encoder_layers": 12,
    "encoder_attention_heads": 12,
    "attention_dropout": 0.1,
    "encoder_ffn_embed_dim": 3072,
    "activation_dropout": 0.0,
    "dropout": 0.1,
    "layer_norm_first": False,
    "encoder_layerdrop": 0.0,
    "final_dim": 0,
    "target_glu": False,
    "untie_final_proj": False,
    "quantize_targets": False,
    "latent_dim": 0,
    "latent_groups": 2,
    "latent_vars": 320,
    "quantizer_depth": 1,
    "quantizer_factor": 3,
}

# What TorchAudio's wav2vec2_model cannot express: config entry -> (the values that it can, the name of the rest).
INEXPRESSIBLE: dict[str, tuple[tuple[Any, ...], str]] = {
    "layer_type": (("transformer",), "conformer layers"),
    "activation_fn": (("gelu",), "an activation other than exact GELU"),
    "pos_conv_depth": ((1,), "a stack of positional convolutions, as data2vec has"),
    "conv_pos_batch_norm": ((False,), "a batch-norm positional convolution"),
    "conv_pos_pre_norm": ((False,), "a layer norm before the positional convolution"),
    "pos_enc_type": (("abs", ""), "relative or rotary positions"),
    "attn_type": (("",), "ESPnet attention"),
    "quantize_input": ((False,), "quantised input"),
    "use_adp": ((False,), "adapters"),
    "adp_num": ((-1, 0), "adapters"),
    "instance_norm_target_layer": ((False,), "data2vec targets"),
}

CLASSES = {
    "hubert": "hubert",
    "wav2vec2": "wav2vec2",
    "hubert_ctc": "hubert_ctc",
    "wav2vec_ctc": "wav2vec_ctc",
}


@dataclass(frozen=True)
class Architecture:
    """A checkpoint's model class and geometry, and the exact names that its state dict must have."""

    model_class: str  # fairseq's registered name: hubert, hubert_ctc, wav2vec2, wav2vec_ctc
    config: EncoderConfig
    has_projection: bool
    mapping: Mapping[str, str] = field(repr=False)  # fairseq name -> TorchAudio name
    dropped: Mapping[str, Dropped] = field(repr=False)  # fairseq name -> why
    normalize: bool  # the waveform of each clip is brought to zero mean and unit variance before the network
    sample_rate: int  # in Hz


def architecture(checkpoint: Checkpoint) -> Architecture:
    """Derive the encoder from a checkpoint's config. Raises InputError naming every feature that has no port."""
    where = str(checkpoint.path)
    model_class = _model_class(checkpoint, where)
    fine_tuned = model_class.endswith("_ctc")
    cfg = _encoder_entries(checkpoint, where) if fine_tuned else checkpoint.model_config
    cfg = _with_defaults(cfg, where)
    refused = [
        f"{title} ({name}={cfg[name]!r})"
        for name, (allowed, title) in INEXPRESSIBLE.items()
        if name in cfg and cfg[name] not in allowed
    ]
    if refused:
        raise InputError(
            f"{where}: this model has " + " and ".join(refused) + ", which TorchAudio's wav2vec2_model cannot express; "
            "there is no faithful port of it"
        )
    config = _encoder_config(cfg, where)
    prefix, head_prefix = ("w2v_encoder.w2v_model.", "w2v_encoder.") if fine_tuned else ("", "")
    head = checkpoint.tensors.get(head_prefix + "proj.weight") if fine_tuned else None
    if head is not None and head.shape:
        config = replace(config, aux_num_out=head.shape[0])
    has_projection = config.extractor_conv_layer_config[-1][0] != config.encoder_embed_dim
    return Architecture(
        model_class=model_class,
        config=config,
        has_projection=has_projection,
        mapping=hubert_keys.mapping(config, has_projection=has_projection, prefix=prefix, head_prefix=head_prefix),
        dropped={prefix + name: rule for name, rule in _dropped(model_class, cfg, config, checkpoint).items()},
        normalize=_entry(checkpoint.task_config, "normalize", bool, False, where),
        sample_rate=_entry(checkpoint.task_config, "sample_rate", int, 16_000, where),
    )


def _model_class(checkpoint: Checkpoint, where: str) -> str:
    name = checkpoint.model_config.get("_name") or checkpoint.model_config.get("arch")
    if name is None:  # some released files lost the entry; the tensors tell
        name = "hubert" if "label_embs_concat" in checkpoint.tensors else None
        name = "wav2vec2" if "quantizer.vars" in checkpoint.tensors else name
    if name not in CLASSES:
        known = ", ".join(CLASSES)
        raise InputError(f"{where}: a fairseq checkpoint of model {name!r}; expected one of {known}")
    return CLASSES[name]


def _with_defaults(cfg: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``cfg`` with fairseq's defaults for what it lacks, each entry of the default's type."""
    merged = {**DEFAULTS, **{name: value for name, value in cfg.items() if value is not None}}
    wrong = [
        f"{name} is {merged[name]!r:.60}, expected {type(default).__name__}"
        for name, default in DEFAULTS.items()
        if type(merged[name]) is not type(default) and not (type(default) is float and type(merged[name]) is int)
    ]
    if wrong:
        raise InputError(f"{where}: the model's config is damaged: " + "; ".join(wrong))
    return merged


def _encoder_entries(checkpoint: Checkpoint, where: str) -> Mapping[str, Any]:
    """The pretraining config that a fine-tuned model carries (``w2v_args``; its ``model`` part in newer files)."""
    entries = checkpoint.model_config.get("w2v_args")
    if isinstance(entries, Mapping):
        inner = entries.get("model", entries)
        if isinstance(inner, Mapping):
            return inner
    raise InputError(
        f"{where}: a fine-tuned checkpoint without the encoder's config (w2v_args); "
        "expected a file written by fairseq's trainer"
    )


def _encoder_config(cfg: Mapping[str, Any], where: str) -> EncoderConfig:
    mode = {"default": "group_norm", "layer_norm": "layer_norm"}.get(str(cfg["extractor_mode"]))
    if mode is None:
        raise InputError(f"{where}: extractor_mode is {cfg['extractor_mode']!r}, expected 'default' or 'layer_norm'")
    try:
        return EncoderConfig(
            extractor_mode=mode,  # type: ignore[arg-type]
            extractor_conv_layer_config=parse_conv_feature_layers(str(cfg["conv_feature_layers"])),
            extractor_conv_bias=cfg["conv_bias"],
            encoder_embed_dim=cfg["encoder_embed_dim"],
            encoder_projection_dropout=cfg["dropout_input"],
            encoder_pos_conv_kernel=cfg["conv_pos"],
            encoder_pos_conv_groups=cfg["conv_pos_groups"],
            encoder_num_layers=cfg["encoder_layers"],
            encoder_num_heads=cfg["encoder_attention_heads"],
            encoder_attention_dropout=cfg["attention_dropout"],
            encoder_ff_interm_features=cfg["encoder_ffn_embed_dim"],
            encoder_ff_interm_dropout=cfg["activation_dropout"],
            encoder_dropout=cfg["dropout"],
            encoder_layer_norm_first=cfg["layer_norm_first"],
            encoder_layer_drop=cfg["encoder_layerdrop"],
        )
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _dropped(
    model_class: str, cfg: Mapping[str, Any], config: EncoderConfig, checkpoint: Checkpoint
) -> dict[str, Dropped]:
    """Exact name -> reason and shape of every tensor that belongs to the checkpoint and not to the encoder."""
    embed = config.encoder_embed_dim
    dropped = {"mask_emb": Dropped(hubert_keys.MASK_REASON, (embed,))}
    if model_class.endswith("_ctc"):  # fairseq removes the pretraining modules before it fine-tunes
        return dropped
    final = cfg["final_dim"] if cfg["final_dim"] > 0 else embed
    label_sets = 1
    if model_class == "hubert":
        dropped["label_embs_concat"] = Dropped(hubert_keys.LABEL_REASON, (None, final))
        label_sets = _label_sets(checkpoint) if cfg["untie_final_proj"] else 1
    else:
        dropped |= _quantizer(cfg, config, final)
    dropped |= _linear("final_proj", final * label_sets, embed, hubert_keys.HEAD_REASON)
    if cfg["target_glu"]:
        dropped |= _linear("target_glu.0", final * 2, final, hubert_keys.GLU_REASON)
    return dropped


def _label_sets(checkpoint: Checkpoint) -> int:
    labels = checkpoint.task_config.get("labels")
    return len(labels) if isinstance(labels, list | tuple) and labels else 1


def _quantizer(cfg: Mapping[str, Any], config: EncoderConfig, final: int) -> dict[str, Dropped]:
    """wav2vec 2.0's quantizer (fairseq ``GumbelVectorQuantizer``) and the projection of what it gives."""
    channels = config.extractor_conv_layer_config[-1][0]
    reason = hubert_keys.QUANTIZER_REASON
    if not cfg["quantize_targets"]:
        return _linear("project_q", final, channels, reason)
    dim = cfg["latent_dim"] if cfg["latent_dim"] > 0 else final
    codes = cfg["latent_groups"] * cfg["latent_vars"]
    dropped = {"quantizer.vars": Dropped(reason, (1, codes, dim // cfg["latent_groups"]))}
    depth, width = cfg["quantizer_depth"], channels * cfg["quantizer_factor"]
    if depth > 1:
        for i in range(depth - 1):
            dropped |= _linear(f"quantizer.weight_proj.{i}.0", width, channels if i == 0 else width, reason)
        dropped |= _linear(f"quantizer.weight_proj.{depth - 1}", codes, width, reason)
    else:
        dropped |= _linear("quantizer.weight_proj", codes, channels, reason)
    return dropped | _linear("project_q", final, dim, reason)


def _linear(name: str, rows: int, columns: int, reason: str) -> dict[str, Dropped]:
    return {f"{name}.weight": Dropped(reason, (rows, columns)), f"{name}.bias": Dropped(reason, (rows,))}


def _entry(entries: Mapping[str, Any], name: str, kind: type, default: Any, where: str) -> Any:
    value = entries.get(name, default)
    if value is None:
        return default
    if type(value) is not kind:
        raise InputError(f"{where}: the config's task.{name} is {value!r}, expected {kind.__name__}")
    return value
