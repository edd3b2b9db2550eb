"""Telling which of fairseq's models a checkpoint is of, and where in the file its encoder is described."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aves_artifacts.base.errors import InputError
from aves_convert.checkpoint import hubert_keys
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.shapes import NOT_TOLD
from aves_convert.pickles.records import preview

CLASSES = ("hubert", "wav2vec2", "hubert_ctc", "wav2vec_ctc", "contentvec")
# ContentVec's norm of real frames alone: of a clip that nothing was padded to, it is the ordinary group norm.
_MASKED_NORM = "group_norm_masked"
# Other models of fairseq that a user may take for one of these.
OTHER_CLASSES = {
    "data2vec_audio": "data2vec, whose positions come from a stack of convolutions",
    "data2vec_multi": "data2vec 2.0, whose attention has relative position biases",
    "hubert_seq2seq": "HuBERT with a sequence-to-sequence decoder",
    "wav2vec_seq2seq": "wav2vec 2.0 with a sequence-to-sequence decoder",
    "wav2vec": "the first wav2vec, which has no transformer",
}


def model_class(checkpoint: Checkpoint) -> str:
    """Tell fairseq's name of the model, one of CLASSES. Raises InputError for any other, saying what it is."""
    name = checkpoint.model_config.get("_name") or checkpoint.model_config.get("arch")
    if name is None:  # some released files lost the entry; the tensors tell
        name = "hubert" if wrapper(checkpoint) + "label_embs_concat" in checkpoint.tensors else None
        name = "contentvec" if wrapper(checkpoint) + "layer_proj.weight" in checkpoint.tensors else name
        name = "wav2vec2" if wrapper(checkpoint) + "quantizer.vars" in checkpoint.tensors else name
    if name in CLASSES:
        return str(name)
    known = ", ".join(CLASSES)
    feature = f" ({OTHER_CLASSES[name]})" if isinstance(name, str) and name in OTHER_CLASSES else ""
    raise InputError(
        f"{checkpoint.path}: a fairseq checkpoint of model {preview(name)}{feature}; expected one of {known}"
    )


def encoder_entries(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """Find the entries of fairseq's config that describe the encoder.

    For a fine-tuned model these are the pretrained one's, which it carries: ``w2v_args``, in newer files the ``model``
    part of that. Those of ContentVec's encoder are HuBERT's. Raises InputError where they are missing.
    """
    if checkpoint.told is not None and not is_complete(checkpoint):
        raise InputError(
            f"{checkpoint.path}: weights without their settings: the tensors tell {checkpoint.told}; they do not tell "
            f"{NOT_TOLD}",
            hint="name the checkpoint that they were taken from with {pretrained}, or one of the published sizes base, "
            "large and xlarge with {geometry}",
        )
    if not is_fine_tuned(checkpoint):
        ours = checkpoint.model_config
        masked = model_class(checkpoint) == "contentvec" and ours.get("extractor_mode") == _MASKED_NORM
        return {**ours, "extractor_mode": "default"} if masked else ours
    if not has_encoder_entries(checkpoint):
        source = checkpoint.model_config.get("w2v_path")
        raise InputError(
            f"{checkpoint.path}: a fine-tuned checkpoint without the encoder's config (w2v_args), which fairseq takes "
            f"from the checkpoint that was fine-tuned (this file calls it w2v_path={preview(source)})",
            hint="name that one with {pretrained}",
        )
    entries: Mapping[str, Any] = checkpoint.model_config["w2v_args"]
    inner = entries.get("model")
    return inner if isinstance(inner, Mapping) else entries


def is_fine_tuned(checkpoint: Checkpoint) -> bool:
    """Whether the encoder lies inside a model for CTC. Raises InputError for a model that is none of CLASSES."""
    return model_class(checkpoint).endswith("_ctc")


def has_encoder_entries(checkpoint: Checkpoint) -> bool:
    """Whether a fine-tuned checkpoint carries the pretrained one's config, which fairseq 0.12.2 loses."""
    return isinstance(checkpoint.model_config.get("w2v_args"), Mapping)


def is_complete(checkpoint: Checkpoint) -> bool:
    """Whether the settings that no shape tells are there too, in the file or from elsewhere."""
    return checkpoint.told is None or checkpoint.geometry is not None or checkpoint.pretrained is not None


def wrapper(checkpoint: Checkpoint) -> str:
    """What stands before fairseq's names: ``module.`` where torch's parallel wrappers left it, else mostly nothing."""
    if checkpoint.told is not None:
        return checkpoint.told.prefix
    wrapped = sum(name.startswith(hubert_keys.WRAPPER) for name in checkpoint.tensors)
    return hubert_keys.WRAPPER if 2 * wrapped > len(checkpoint.tensors) else ""
