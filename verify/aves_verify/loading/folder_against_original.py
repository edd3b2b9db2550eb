"""Holding a folder of transformers against the original: tensors bit by bit, and what its settings say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.messages import quoted, reason_of
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.documents import parse_json, read_file
from aves_artifacts.hugging_face.config import model_type_of
from aves_artifacts.hugging_face.names import MASK, TOKENIZER, VOCABULARY, torchaudio_names
from aves_artifacts.hugging_face.preprocessor import wants_mask
from aves_artifacts.hugging_face.tokenizer import tokenizer_entries, vocabulary
from aves_convert.checkpoint.architecture import architecture
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.hugging_face.folder import Folder
from aves_convert.sounds.clip import SAMPLE_RATE
from aves_convert.weights.heads import PROJECTION, Heads
from aves_convert.weights.to_transformers import letters, mask_embedding
from aves_verify.backends.transformers_model import TransformersBackend
from aves_verify.comparison.weights import WeightSearch, bitwise


def folder_weights(original: Mapping[str, NDArray[np.float32]], backend: TransformersBackend) -> WeightSearch:
    """Compare the tensors of a folder's files with the original's bit for bit; each other one is a problem."""
    folder = backend.folder
    mapping = torchaudio_names(folder.config.encoder, folder.config.prefix, folder.tensors)
    ported = {target: folder.tensors[name].float32() for name, target in mapping.items()}
    if {name: tensor.shape for name, tensor in ported.items()} != {n: t.shape for n, t in original.items()}:
        problem = f"transformers: {folder.path} is not the original's geometry"
        return WeightSearch(len(original), 0, problems=(problem,))
    return bitwise("transformers", original, ported, folder.path)


def folder_settings_problems(
    backend: TransformersBackend, config: EncoderConfig, checkpoint: Checkpoint | None, heads: Heads, *, normalize: bool
) -> Iterator[str]:
    """Tell what a folder says, or has beside the encoder, that is not the original's.

    Dropout, layer drop and the embedding of masked frames show in no output, and are what fine-tuning starts with.
    """
    folder = backend.folder
    for name, expected in config.kwargs().items():
        found = folder.config.encoder.kwargs()[name]
        if found != expected:
            yield f"transformers: {folder.path} says {name} {found}, the original {expected}"
    yield from _preprocessor_problems(folder, config, normalize=normalize)
    if folder.config.dtype != "float32":
        yield f"transformers: {folder.path} says {quoted(folder.config.dtype)}: newer versions compute in that"
    if folder.config.blank != 0 and config.aux_num_out is not None:
        yield f"transformers: {folder.path} says pad_token_id {folder.config.blank}, the original's blank is row 0"
    if checkpoint is None:
        return  # a recording has no more to tell
    arch = architecture(checkpoint, allow_unknown_config=True)
    expected_type = model_type_of(arch.model_class)
    if folder.config.model_type != expected_type:
        yield f"transformers: {folder.path} is a {folder.config.model_type}, the original a {expected_type}"
    yield from _letter_problems(folder, checkpoint)
    mask = mask_embedding(checkpoint, arch)
    beside = {name: values for name, values in heads.tensors.items() if name.startswith(f"{PROJECTION}.")}
    for name, values in (beside if mask is None else {**beside, MASK: mask}).items():
        tensor = folder.tensors.get(folder.config.prefix + name if name == MASK else name)
        if tensor is None and name == MASK:
            yield f"transformers: {folder.path} lacks {MASK}, which the original has as mask_emb"
        elif tensor is not None and (tensor.shape != values.shape or tensor.float32().tobytes() != values.tobytes()):
            yield f"transformers: {folder.path}: {name} is not the original's"


def _preprocessor_problems(folder: Folder, config: EncoderConfig, *, normalize: bool) -> Iterator[str]:
    """What is done to waveforms before the model gets them."""
    said = folder.preprocessor
    if said.normalize != normalize:
        told, right = json.dumps(said.normalize), json.dumps(normalize)
        yield f"transformers: {folder.path} says do_normalize {told}, the original {right}"
    if said.sample_rate != SAMPLE_RATE:
        yield f"transformers: {folder.path} says sampling_rate {said.sample_rate}, expected {SAMPLE_RATE}"
    if said.mask != wants_mask(config):
        told, right = json.dumps(said.mask), json.dumps(wants_mask(config))
        yield f"transformers: {folder.path} says return_attention_mask {told}, for this encoder it must be {right}"


def _letter_problems(folder: Folder, checkpoint: Checkpoint) -> Iterator[str]:
    """The letters that a head's rows stand for, where the original tells."""
    path, symbols = folder.path / VOCABULARY, letters(checkpoint, folder.config.encoder)
    if not symbols:
        return
    try:
        found = parse_json(read_file(path))
    except (OSError, ValueError) as error:
        yield f"transformers: {path}: cannot read the letters of the head: {reason_of(error)}"
        return
    if found != vocabulary(symbols):
        yield f"transformers: {path} gives the head's rows other letters than the original's dictionary"
    beside = folder.path / TOKENIZER
    try:
        said = parse_json(read_file(beside))
    except (OSError, ValueError) as error:
        yield f"transformers: {beside}: cannot read it: {reason_of(error)}"
        return
    for name, value in tokenizer_entries().items():
        if not isinstance(said, dict) or said.get(name, value) != value:
            yield f"transformers: {beside} says another {name} than {quoted(value)}"
