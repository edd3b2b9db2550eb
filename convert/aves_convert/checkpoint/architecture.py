"""Deriving an encoder's geometry from a fairseq checkpoint's config, and which tensors belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aves_artifacts.base.errors import MOST_TOLD, InputError
from aves_artifacts.base.messages import first_of
from aves_artifacts.encoder import EncoderConfig
from aves_convert.checkpoint import hubert_keys
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.config_entries import (
    DEFAULTS,
    INEXPRESSIBLE,
    LAYER_TYPES,
    REPLACING,
    UnknownEntry,
    unknown_entries,
)
from aves_convert.checkpoint.conv_feature_layers import parse_conv_feature_layers
from aves_convert.checkpoint.hubert_keys import Dropped
from aves_convert.checkpoint.model_class import encoder_entries, is_fine_tuned, model_class, wrapper
from aves_convert.checkpoint.of_folder import folder_names
from aves_convert.pickles.records import preview

# Far above what was ever published (quantisers of depth 1 with 2 codebooks of 320 entries). A config is expanded to
# names, so what it says must be bounded first.
_BOUNDS = {
    "quantizer_depth": (1, 1_000),
    "quantizer_factor": (1, 1_000_000),
    "latent_groups": (1, 1_000_000),
    "latent_vars": (1, 1_000_000),
    "encoder_layers_1": (0, 1_000),
}


@dataclass(frozen=True)
class Architecture:
    """A checkpoint's model class and geometry, and the exact names that its state dict must have."""

    model_class: str  # fairseq's registered name (hubert, hubert_ctc, wav2vec2, wav2vec_ctc), or transformers' class
    config: EncoderConfig
    has_projection: bool
    mapping: Mapping[str, str] = field(repr=False)  # name in the file -> TorchAudio name
    dropped: Mapping[str, Dropped] = field(repr=False)  # name in the file -> why
    normalize: bool  # the waveform of each clip is brought to zero mean and unit variance before the network
    sample_rate: int  # in Hz
    unknown: tuple[UnknownEntry, ...] = ()  # entries of the config that were passed over though nobody knows them


def architecture(checkpoint: Checkpoint, *, allow_unknown_config: bool = False) -> Architecture:
    """Derive the encoder from a checkpoint's config.

    Raises InputError naming every feature that has no port, and every entry of the config that nobody knows unless
    ``allow_unknown_config``.
    """
    if checkpoint.folder is not None:
        return _of_folder(checkpoint)
    where = str(checkpoint.path)
    name = model_class(checkpoint)
    fine_tuned = name.endswith("_ctc")
    cfg = _with_defaults(encoder_entries(checkpoint), where)
    unknown = unknown_entries(checkpoint)
    _refuse_entries(checkpoint, cfg, () if allow_unknown_config else unknown)
    config = _encoder_config(cfg, where)
    _refuse_more_layers(config, checkpoint)
    head_prefix = wrapper(checkpoint) + (hubert_keys.HEAD_PREFIX if fine_tuned else "")
    prefix = wrapper(checkpoint) + (hubert_keys.ENCODER_PREFIX if fine_tuned else "")
    if fine_tuned:
        config = replace(config, aux_num_out=_head_size(checkpoint, head_prefix))
    has_projection = config.extractor_conv_layer_config[-1][0] != config.encoder_embed_dim
    has_labels = prefix + "label_embs_concat" in checkpoint.tensors
    dropped = hubert_keys.dropped(name, cfg, config, label_sets=_label_sets(checkpoint), has_labels=has_labels)
    dropped = {prefix + entry: rule for entry, rule in dropped.items()}
    mapping = hubert_keys.mapping(config, has_projection=has_projection, prefix=prefix, head_prefix=head_prefix)
    if checkpoint.told is not None:
        dropped = _of_what_is_there(checkpoint, dropped, prefix, mapping)
    return Architecture(
        model_class=name,
        config=config,
        has_projection=has_projection,
        mapping=mapping,
        dropped=dropped,
        normalize=_entry(checkpoint.task_config, "normalize", bool, False, where),
        sample_rate=_entry(checkpoint.task_config, "sample_rate", int, 16_000, where),
        unknown=unknown,
    )


def _of_folder(checkpoint: Checkpoint) -> Architecture:
    """The encoder of a folder of transformers, whose settings were found to be those of one when it was opened."""
    assert checkpoint.folder is not None  # noqa: S101 - the caller's duty
    config = checkpoint.folder.encoder
    _refuse_more_layers(config, checkpoint)
    mapping, dropped = folder_names(checkpoint)
    return Architecture(
        model_class=checkpoint.folder.model_class,
        config=config,
        has_projection=True,  # it has one where fairseq's model has none, as TorchAudio's has
        mapping=mapping,
        dropped=dropped,
        normalize=checkpoint.task_config["normalize"],
        sample_rate=checkpoint.task_config["sample_rate"],
    )


def _refuse_more_layers(config: EncoderConfig, checkpoint: Checkpoint) -> None:
    """Raise InputError for a config that asks for many more tensors than there are, before it is expanded to names."""
    count = len(checkpoint.tensors)
    # every layer has 16 tensors; half of them may be missing and are then named
    if count and config.encoder_num_layers > max(1, count // 8):
        raise InputError(
            f"{checkpoint.path}: the config says {config.encoder_num_layers} layers, the file has not their tensors"
        )


def _refuse_entries(checkpoint: Checkpoint, cfg: Mapping[str, Any], unknown: tuple[UnknownEntry, ...]) -> None:
    """Raise InputError for what TorchAudio's model has not, and for entries that may do anything to the network."""
    refused = [*_inexpressible(cfg), *_conditioned(checkpoint, cfg)]
    if is_fine_tuned(checkpoint):
        replacing = {name: checkpoint.model_config.get(name) for name in REPLACING}
        refused += _inexpressible({name: value for name, value in replacing.items() if value is not None})
    problems = [
        f"this model has {feature}, which TorchAudio's wav2vec2_model cannot express; there is no faithful port of it"
        for feature in dict.fromkeys(refused)
    ]
    problems += hubert_keys.foreign_features(checkpoint.tensors)
    problems += first_of([f"the config says {entry}, {_UNKNOWN}" for entry in unknown], MOST_TOLD)
    hint = "{allow_unknown_config} converts as if such entries were not there" if unknown else ""
    if problems:
        raise InputError(*(f"{checkpoint.path}: {problem}" for problem in problems), hint=hint)


_UNKNOWN = "which is no entry of fairseq's: nobody knows what it does to the network"


def _conditioned(checkpoint: Checkpoint, cfg: Mapping[str, Any]) -> list[str]:
    """The final norm of a pre-norm ContentVec: the one of the speaker takes the encoder's place, which is untrained."""
    if model_class(checkpoint) != "contentvec" or not cfg["layer_norm_first"] or not cfg["encoder_layers_1"]:
        return []
    return [f"a final norm conditioned on the speaker (encoder_layers_1={preview(cfg['encoder_layers_1'])})"]


def _inexpressible(cfg: Mapping[str, Any]) -> list[str]:
    """Every feature of the config that TorchAudio's model has not, with the entry that says so."""
    titles = {name: title for name, (_allowed, title) in INEXPRESSIBLE.items()}
    layer = cfg.get("layer_type")
    titles["layer_type"] = LAYER_TYPES.get(layer if type(layer) is str else "", titles["layer_type"])
    return [
        f"{titles[name]} ({name}={preview(cfg[name])})"
        for name, (allowed, _title) in INEXPRESSIBLE.items()
        if name in cfg and cfg[name] not in allowed
    ]


def _of_what_is_there(
    checkpoint: Checkpoint, dropped: Mapping[str, Dropped], prefix: str, mapping: Mapping[str, str]
) -> dict[str, Dropped]:
    """Of weights that somebody took out of a checkpoint: the parts of pretraining that are left, and what is around."""
    found = {}
    for name, tensor in checkpoint.tensors.items():
        if name in dropped:
            found[name] = dropped[name]
        elif not name.startswith(prefix) and name not in mapping:
            found[name] = Dropped(hubert_keys.AROUND_REASON, tensor.shape, foreign=True)
    return found


def _head_size(checkpoint: Checkpoint, prefix: str) -> int | None:
    """How many letters the head of a fine-tuned model tells apart, None where it has no head."""
    parts = (checkpoint.tensors.get(f"{prefix}proj.{p}") for p in ("weight", "bias"))
    return next((part.shape[0] for part in parts if part is not None and part.shape), None)


def _with_defaults(cfg: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``cfg`` with fairseq's defaults for what it lacks, each entry of the default's type."""
    merged = {**DEFAULTS, **{name: value for name, value in cfg.items() if value is not None}}
    wrong = [
        f"{name} is {preview(merged[name])}, expected {type(default).__name__}"
        for name, default in DEFAULTS.items()
        if type(merged[name]) is not type(default) and not (type(default) is float and type(merged[name]) is int)
    ]
    wrong += [
        f"{name} is {preview(merged[name])}, expected a number from {least} to {most}"
        for name, (least, most) in _BOUNDS.items()
        if type(merged[name]) is int and not least <= merged[name] <= most
    ]
    if wrong:
        raise InputError(*(f"{where}: the model's config is damaged: {problem}" for problem in wrong))
    return merged


def _encoder_config(cfg: Mapping[str, Any], where: str) -> EncoderConfig:
    mode = {"default": "group_norm", "layer_norm": "layer_norm"}.get(str(cfg["extractor_mode"]))
    if mode is None:
        raise InputError(
            f"{where}: extractor_mode is {preview(cfg['extractor_mode'])}, expected 'default' or 'layer_norm'"
        )
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
        raise InputError(*(f"{where}: {problem}" for problem in error.problems)) from None


def _label_sets(checkpoint: Checkpoint) -> int:
    labels = checkpoint.task_config.get("labels")
    return len(labels) if isinstance(labels, list | tuple) and labels else 1


def _entry(entries: Mapping[str, Any], name: str, kind: type, default: Any, where: str) -> Any:
    value = entries.get(name, default)
    if value is None:
        return default
    if type(value) is not kind:
        raise InputError(f"{where}: the config's task.{name} is {preview(value)}, expected {kind.__name__}")
    return value
