"""Making the folder that transformers loads: the tensors of a TorchAudio port under other names, and three settings.

transformers is not imported: names and settings are those of ``aves_artifacts.hugging_face``, and the tensors are
written as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.hugging_face import names
from aves_artifacts.hugging_face.config import (
    WITH_PROJECTION,
    FolderConfig,
    config_entries,
    folder_config,
    model_type_of,
)
from aves_artifacts.hugging_face.preprocessor import Preprocessor, preprocessor_entries
from aves_artifacts.hugging_face.tokenizer import tokenizer_entries, vocabulary
from aves_convert.checkpoint.architecture import Architecture
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.torch_files.safetensors_writer import write_safetensors
from aves_convert.weights.heads import NO_HEADS, PROJECTION, Heads
from aves_convert.weights.to_torchaudio import TorchaudioPort


@dataclass(frozen=True)
class TransformersPort:
    """The contents of the folder's files, by the names of the files; of the weights, the tensors by theirs."""

    documents: Mapping[str, Mapping[str, Any]]
    tensors: Mapping[str, NDArray[np.float32]] = field(repr=False)

    def write(self, folder: Path) -> None:
        """Write the files into a folder that is there, the settings last. Raises InputError."""
        write_safetensors(self.tensors, folder / names.WEIGHTS)
        for name, entries in self.documents.items():
            text = json.dumps(entries, indent=2, ensure_ascii=False) + "\n"
            (folder / name).write_text(text, encoding="utf-8")


# As ``TransformersPort.write`` writes them, and what a failed run must not leave last.
FOLDER_FILES = (names.WEIGHTS, names.VOCABULARY, names.TOKENIZER, names.PREPROCESSOR, names.CONFIG)


def to_transformers(checkpoint: Checkpoint, converted: TorchaudioPort, heads: Heads = NO_HEADS) -> TransformersPort:
    """Name the tensors of a port as ``HubertModel`` has them, or the class for CTC, or wav2vec 2.0's.

    ``mask_emb`` becomes ``masked_spec_embed``. ``heads``: to put ``final_proj`` beside the model, which
    ``HubertModelWithFinalProj`` reads; other classes tell of it as unused. Raises InputError where there is none, or
    where the class has no place for it.
    """
    arch = converted.architecture
    if checkpoint.folder is not None:
        raise InputError(f"{checkpoint.path}: is a folder of transformers already; copy it")
    config = folder_config(converted.config, model_type_of(arch.model_class))
    tensors = {names.transformers_name(name, config.prefix): values for name, values in converted.state_dict.items()}
    mask = mask_embedding(checkpoint, arch)
    if mask is not None:
        tensors[config.prefix + names.MASK] = mask
    projections = {name: values for name, values in heads.tensors.items() if name.startswith(f"{PROJECTION}.")}
    if heads is not NO_HEADS:
        config = _with_projection(config, projections, checkpoint)
        tensors |= projections
    size = len(projections[f"{PROJECTION}.weight"]) if projections else None
    documents: dict[str, Mapping[str, Any]] = {}
    symbols = letters(checkpoint, converted.config)
    if symbols:
        documents |= {names.VOCABULARY: vocabulary(symbols), names.TOKENIZER: tokenizer_entries()}
    documents[names.PREPROCESSOR] = preprocessor_entries(Preprocessor(arch.normalize, arch.sample_rate), arch.config)
    documents[names.CONFIG] = config_entries(config, masked=mask is not None, projection=size)
    return TransformersPort(documents, tensors)


def mask_embedding(checkpoint: Checkpoint, arch: Architecture) -> NDArray[np.float32] | None:
    """Read ``mask_emb`` of a checkpoint of fairseq; None where it has none."""
    found = (name for name in arch.dropped if name.rpartition(".")[2] == "mask_emb" and name in checkpoint.tensors)
    name = next(found, None)
    return None if name is None else checkpoint.tensors[name].float32()


def _with_projection(config: FolderConfig, projections: Mapping[str, object], checkpoint: Checkpoint) -> FolderConfig:
    if not projections:
        raise InputError(f"{checkpoint.path}: has no final_proj", hint="leave {heads} out")
    if config.model_class != "HubertModel":
        raise InputError(
            f"{checkpoint.path}: {config.model_class} has no place for final_proj", hint="leave {heads} out"
        )
    return replace(config, model_class=WITH_PROJECTION)


def letters(checkpoint: Checkpoint, config: EncoderConfig) -> tuple[str, ...]:
    """List what the rows of the head stand for; nothing where there is no head, or the checkpoint does not tell."""
    size = config.aux_num_out
    symbols = checkpoint.dictionaries[0] if checkpoint.dictionaries else ()
    return symbols if size is not None and len(symbols) == size else ()
