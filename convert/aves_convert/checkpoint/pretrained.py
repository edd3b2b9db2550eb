"""Completing a fine-tuned checkpoint that lacks the encoder's settings, from the one that it was fine-tuned from.

fairseq 0.12.2 itself writes such files: it loses ``w2v_args`` and at each load reads the config of the pretrained
checkpoint anew, from the path in ``w2v_path``. A path in a file is no reason to open anything: here the user names it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aves_artifacts.base.errors import InputError
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.model_class import has_encoder_entries, is_fine_tuned, model_class

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
