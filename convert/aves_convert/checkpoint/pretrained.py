"""Completing a checkpoint that lacks settings: from the one it was made from, or from a published geometry.

fairseq 0.12.2 itself writes fine-tuned files that lack those of the encoder: it loses ``w2v_args`` and at each load
reads the config of the pretrained checkpoint anew, from the path in ``w2v_path``. A path in a file is no reason to open
anything: here the user names it. Weights that somebody took out of a checkpoint lack all settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aves_artifacts.base.errors import InputError, raise_if_any
from aves_artifacts.base.messages import quoted
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.config_entries import DEFAULTS
from aves_convert.checkpoint.conv_feature_layers import parse_conv_feature_layers
from aves_convert.checkpoint.model_class import encoder_entries, has_encoder_entries, is_fine_tuned, model_class
from aves_convert.checkpoint.shapes import Told
from aves_convert.pickles.records import preview

# What fine-tuning sets anew in the encoder: its entry -> that of the fine-tuned model. Source: ``arg_overrides`` in
# fairseq's ``hubert_asr.py`` and ``wav2vec2_asr.py``; the others are masking, which rests in evaluation.
_OVERRIDDEN = {
    "dropout": "dropout",
    "activation_dropout": "activation_dropout",
    "dropout_input": "dropout_input",
    "attention_dropout": "attention_dropout",
    "encoder_layerdrop": "layerdrop",
}
_PRETRAINED = {"hubert_ctc": "hubert", "wav2vec_ctc": "wav2vec2"}

# The sizes that HuBERT was published in: fairseq's hubert_base_librispeech.yaml, hubert_large_librivox.yaml and
# hubert_xlarge_librivox.yaml, where they are not fairseq's defaults. wav2vec 2.0 has the same "base".
_UNDROPPED = dict.fromkeys(("dropout", "attention_dropout", "activation_dropout", "dropout_input"), 0.0)
_PRE_NORM = {"extractor_mode": "layer_norm", "layer_norm_first": True, **_UNDROPPED, "encoder_attention_heads": 16}
PUBLISHED: dict[str, dict[str, Any]] = {
    "base": {"encoder_layerdrop": 0.05, "dropout_input": 0.1},
    "large": {**_PRE_NORM, "encoder_layers": 24, "encoder_embed_dim": 1024, "encoder_ffn_embed_dim": 4096},
    "xlarge": {**_PRE_NORM, "encoder_layers": 48, "encoder_embed_dim": 1280, "encoder_ffn_embed_dim": 5120},
}
_NORMALIZED = {"base": False, "large": True, "xlarge": True}  # task.normalize of the same files


@dataclass(frozen=True)
class _Given:
    """The settings that weights are completed with: from where, those of the encoder, and those of the task."""

    where: str
    encoder: Mapping[str, Any]
    task: Mapping[str, Any]
    model_class: str | None = None  # of the pretrained model; None: any


def completed(checkpoint: Checkpoint, pretrained: Checkpoint | None, geometry: str | None) -> Checkpoint:
    """Give a checkpoint the settings that it lacks, from one of the two, where one is given.

    Raises InputError where that one cannot be it, naming what contradicts what, and for a checkpoint that needs none.
    """
    if pretrained is not None and geometry is not None:
        raise InputError(f"{checkpoint.path}: settings from two places", hint="give {pretrained} or {geometry}")
    if checkpoint.told is None:
        if geometry is not None:
            raise InputError(f"{checkpoint.path}: has its settings itself", hint="leave {geometry} out")
        return checkpoint if pretrained is None else with_pretrained_settings(checkpoint, pretrained)
    if pretrained is not None:
        name = model_class(pretrained)
        given = _Given(
            str(pretrained.path), encoder_entries(pretrained), pretrained.task_config, _PRETRAINED.get(name, name)
        )
        return replace(_with_settings(checkpoint, checkpoint.told, given), pretrained=pretrained.path)
    if geometry is None:
        return checkpoint
    if geometry not in PUBLISHED:
        raise InputError(f"the geometry {quoted(geometry)}: expected one of {', '.join(PUBLISHED)}")
    given = _Given(f"the geometry {geometry}", PUBLISHED[geometry], {"normalize": _NORMALIZED[geometry]})
    return replace(_with_settings(checkpoint, checkpoint.told, given), geometry=geometry)


def _with_settings(checkpoint: Checkpoint, told: Told, given: _Given) -> Checkpoint:
    """The checkpoint with these settings, which must not contradict its tensors. Raises InputError."""
    entries = {**DEFAULTS, **{name: value for name, value in given.encoder.items() if value is not None}}
    name = _class(told, given)
    problems = [
        f"the tensors say {entry}={preview(value)}, {given.where} says {preview(entries[entry])}"
        for entry, value in told.entries.items()
        if entry in _COMPARED and entries[entry] != value and (given.model_class is not None or entry != "conv_bias")
    ]
    convolutions = parse_conv_feature_layers(str(entries["conv_feature_layers"]))
    sizes = tuple((channels, kernel) for channels, kernel, _stride in convolutions)
    if sizes != told.convolutions:
        problems.append(
            f"the tensors say convolutions (channels, kernel) of {list(told.convolutions)}, {given.where} says "
            f"{list(sizes)}"
        )
    raise_if_any(problems, f"{checkpoint.path}: other weights than those of {given.where}")
    encoder = {**given.encoder, **told.entries, "conv_feature_layers": str(list(convolutions))}
    task = dict(given.task)
    if name in _PRETRAINED:
        settings = {"_name": name, "w2v_args": {"model": {**encoder, "_name": _PRETRAINED[name]}, "task": {}}}
        return replace(checkpoint, model_config=settings, task_config=task)
    if name != "wav2vec2":
        task["labels"] = [f"set {index}" for index in range(told.label_sets)]
    return replace(checkpoint, model_config={**encoder, "_name": name}, task_config=task)


# What both tensors and settings say. Whether convolutions have a bias is no part of a published size: some of one size
# have it, and tensors tell.
_COMPARED = {
    "extractor_mode",
    "conv_bias",
    "encoder_embed_dim",
    "encoder_ffn_embed_dim",
    "encoder_layers",
    "conv_pos",
    "conv_pos_groups",
}
_FAMILIES = {"wav2vec2": "wav2vec2", "wav2vec_ctc": "wav2vec2"}  # the others are HuBERT's


def _class(told: Told, given: _Given) -> str:
    """fairseq's class of the weights: the tensors' own word, and where they have none, the pretrained model's."""
    family = _FAMILIES.get(told.model_class, "hubert")
    other = family if given.model_class is None else _FAMILIES.get(given.model_class, "hubert")
    if family != other and not told.ambiguous:
        raise InputError(
            f"{told.where}: weights of a {told.model_class} model, {given.where} is of a {given.model_class}; expected "
            "the checkpoint that they were taken from"
        )
    if family == other:
        return told.model_class
    return "wav2vec_ctc" if told.model_class == "hubert_ctc" else other


def with_pretrained_settings(checkpoint: Checkpoint, pretrained: Checkpoint) -> Checkpoint:
    """Give a fine-tuned checkpoint the encoder's settings of the one it was made from, as fairseq would.

    Of ``pretrained`` nothing but the settings is used. Raises InputError where it cannot be the one, and for a
    checkpoint that needs none.
    """
    if not is_fine_tuned(checkpoint) or has_encoder_entries(checkpoint):
        raise InputError(f"{checkpoint.path}: has the encoder's config itself", hint="leave {pretrained} out")
    name, wanted = model_class(pretrained), _PRETRAINED[model_class(checkpoint)]
    if name != wanted:
        raise InputError(
            f"{pretrained.path}: a checkpoint of model {name}, expected the {wanted} that {checkpoint.path} "
            "was fine-tuned from"
        )
    if _normalize(checkpoint) != _normalize(pretrained):  # fairseq refuses this as well
        raise InputError(
            f"{pretrained.path}: task.normalize is {_normalize(pretrained)}, that of {checkpoint.path} is "
            f"{_normalize(checkpoint)}; expected the checkpoint that it was fine-tuned from"
        )
    ours = checkpoint.model_config
    overridden = {name: ours[source] for name, source in _OVERRIDDEN.items() if ours.get(source) is not None}
    settings = {"model": {**pretrained.model_config, **overridden}, "task": pretrained.task_config}
    return replace(checkpoint, model_config={**ours, "w2v_args": settings}, pretrained=pretrained.path)


def _normalize(checkpoint: Checkpoint) -> bool:
    """Old files of wav2vec 2.0 have it among the model's settings."""
    entry: Any = checkpoint.task_config.get("normalize", checkpoint.model_config.get("normalize"))
    return entry is True
