"""A bundle with the folder that transformers loads, made of what is in the bundle and of its checkpoint."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from aves_artifacts.bundle.bundle import Bundle, read_bundle
from aves_artifacts.bundle.manifest import FILE_NAMES, MANIFEST, TRANSFORMERS, Role
from aves_artifacts.bundle.model_card import write_card
from aves_artifacts.files.file_record import file_record
from aves_artifacts.hugging_face.config import config_entries, folder_config
from aves_artifacts.hugging_face.names import MASK, PROJECTION, transformers_name
from aves_artifacts.hugging_face.preprocessor import Preprocessor, preprocessor_entries
from aves_artifacts.hugging_face.tokenizer import tokenizer_entries, vocabulary
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.torch_files.safetensors_writer import write_safetensors

Tensors = dict[str, NDArray[np.float32]]


def with_folder(bundle: Bundle, checkpoint: Path, *, projection: bool = False, letters: int | None = None) -> Bundle:
    """The bundle, which has no report yet, with a folder of this checkpoint's tensors; ``letters`` of its head."""
    manifest = bundle.manifest
    encoder, facts = manifest.config, manifest.encoder
    config = folder_config(encoder, "wav2vec2" if manifest.source.model_class.startswith("wav2vec") else "hubert")
    tensors: Tensors = {
        transformers_name(name, config.prefix): tensor for name, tensor in load_file(bundle.path("safetensors")).items()
    }
    more = _extra(checkpoint, config.prefix, projection=projection)
    rows = next((len(tensor) for name, tensor in more.items() if name.endswith(f"{PROJECTION}.weight")), None)
    names: dict[Role, str] = {role: FILE_NAMES[role].format(name=manifest.name) for role in TRANSFORMERS}
    (bundle.folder / names["transformers_config"]).parent.mkdir()
    write_safetensors(tensors | more, bundle.folder / names["transformers_weights"])
    preprocessor = Preprocessor(facts.normalize, facts.sample_rate)
    documents: dict[Role, Any] = {
        "transformers_config": config_entries(config, masked=config.prefix + MASK in more, projection=rows),
        "transformers_preprocessor": preprocessor_entries(preprocessor, encoder),
    }
    if letters is not None:
        symbols = ["<s>", "<pad>", "</s>", "<unk>", *map(chr, range(97, 97 + letters - 4))]
        documents |= {"transformers_vocabulary": vocabulary(symbols), "transformers_tokenizer": tokenizer_entries()}
    for role, entries in documents.items():
        (bundle.folder / names[role]).write_text(json.dumps(entries, indent=2) + "\n")
    records = {
        role: dataclasses.replace(file_record(bundle.folder / name), name=name)
        for role, name in names.items()
        if (bundle.folder / name).exists()
    }
    manifest = dataclasses.replace(manifest, files={**manifest.files, **records})
    (bundle.folder / MANIFEST).write_text(write_card(manifest, bundle.folder).to_json())
    return read_bundle(bundle.folder)


def _extra(checkpoint: Path, prefix: str, *, projection: bool) -> Tensors:
    """What TorchAudio's weights have no place for."""
    found = {}
    for name, tensor in read_checkpoint(checkpoint).tensors.items():
        last = name.removeprefix("w2v_encoder.").removeprefix("w2v_model.")
        if last == "mask_emb":
            found[prefix + MASK] = tensor.read().astype(np.float32)
        elif projection and last.startswith(f"{PROJECTION}."):
            found[prefix + last] = tensor.read().astype(np.float32)
    return found
