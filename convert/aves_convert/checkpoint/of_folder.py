"""A folder of transformers as a checkpoint: which of its tensors are the encoder's, and which are left out and why."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from aves_artifacts.base.errors import InputError
from aves_artifacts.hugging_face.names import MASK, PROJECTION, torchaudio_names
from aves_convert.checkpoint import hubert_keys
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.hubert_keys import Dropped
from aves_convert.hugging_face.folder import Folder

# What a class has around the encoder, by the beginning of the name, and why a port leaves it out.
_AROUND: Mapping[str, Mapping[str, str]] = {
    "HubertForSequenceClassification": dict.fromkeys(
        ("projector.", "classifier.", "layer_weights"), hubert_keys.AROUND_REASON
    ),
    "Wav2Vec2ForSequenceClassification": dict.fromkeys(
        ("projector.", "classifier.", "layer_weights"), hubert_keys.AROUND_REASON
    ),
    "Wav2Vec2ForPreTraining": {
        "quantizer.": hubert_keys.QUANTIZER_REASON,
        "project_q.": hubert_keys.QUANTIZER_REASON,
        "project_hid.": hubert_keys.HEAD_REASON,
    },
}


def checkpoint_of_folder(folder: Folder) -> Checkpoint:
    """Take a folder as a checkpoint, whose tensors have the names that are in its files. Raises InputError."""
    _refuse_another_prefix(folder)
    task = {"normalize": folder.preprocessor.normalize, "sample_rate": folder.preprocessor.sample_rate}
    return Checkpoint(
        path=folder.path,
        model_config={},
        task_config=task,
        tensors=MappingProxyType(dict(folder.tensors)),
        kind="folder of transformers",
        folder=folder.config,
    )


def _refuse_another_prefix(folder: Folder) -> None:
    """Raise InputError where the names are those of a class with another beginning, rather than name each of them."""
    before = f"{folder.config.model_type}."
    prefixed = any(name.startswith(before) for name in folder.tensors)
    if folder.tensors and prefixed != bool(folder.config.prefix):
        begin = f"begin with {before}" if prefixed else f"do not begin with {before}"
        raise InputError(
            f"{folder.path}: a {folder.config.model_class} by its config.json, and its tensors' names {begin}; name "
            "the class that they were saved from under architectures"
        )


def folder_names(checkpoint: Checkpoint) -> tuple[dict[str, str], dict[str, Dropped]]:
    """Map the names of the encoder's tensors to TorchAudio's; tell of the others that are known why they are left out.

    What is neither is for the ledger to refuse.
    """
    assert checkpoint.folder is not None  # noqa: S101 - the caller's duty
    config, tensors = checkpoint.folder, checkpoint.tensors
    mapping = torchaudio_names(config.encoder, config.prefix, tensors)
    embed = config.encoder.encoder_embed_dim
    # transformers asks for the first only where its settings mask something, and the second is voice conversion's
    known = {
        config.prefix + MASK: Dropped(hubert_keys.MASK_REASON, (embed,)),
        f"{PROJECTION}.weight": Dropped(hubert_keys.HEAD_REASON, (None, embed)),
        f"{PROJECTION}.bias": Dropped(hubert_keys.HEAD_REASON, (None,)),
    }
    dropped = {name: rule for name, rule in known.items() if name in tensors}
    around = _AROUND.get(config.model_class, {})
    for name in tensors:
        for beginning, reason in around.items():
            if name not in mapping and name.startswith(beginning):
                dropped[name] = Dropped(reason, tensors[name].shape, foreign=reason == hubert_keys.AROUND_REASON)
    return mapping, dropped
