"""Folders of transformers: saved by it, loaded by it without a word, and checkpoints to make them of."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from tests.regression import models
from tests.support import stand_ins

from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.hugging_face.config import config_entries, folder_config
from aves_convert.conversion.request import Source
from aves_convert.conversion.stand_in import checkpoint_contents
from aves_convert.torch_files.writer import write_torch_file
from aves_convert.weights.model import import_torchaudio

FINE_TUNED = ("hubert-ctc", "hubert-ctc-pre-norm", "wav2vec2-ctc")
VARIANTS = (*stand_ins.VARIANTS, "float16", "legacy", *FINE_TUNED)


def source(variant: str, folder: Path) -> Source:
    """The checkpoint of a tiny model of this kind, written into the folder."""
    if variant in FINE_TUNED:
        files = models.write_model(variant, folder)
        return Source(files.checkpoint, pretrained=files.pretrained)
    path = folder / "original.pt"
    if variant in stand_ins.VARIANTS:
        return Source(stand_ins.write(path, stand_ins.VARIANTS[variant]))
    contents = checkpoint_contents(stand_ins.TINY, seed=variant, dtype="float16" if variant == "float16" else "float32")
    if variant == "legacy":
        contents["task_state"] = {}  # fairseq's Dictionary, which is not imported here
        contents["model"] = {name: torch.from_numpy(tensor) for name, tensor in contents["model"].items()}
        torch.save(contents, path, _use_new_zipfile_serialization=False)
    else:
        write_torch_file(contents, path)
    return Source(path)


@contextlib.contextmanager
def no_word() -> Iterator[None]:
    """Raise AssertionError for whatever transformers logs or warns of inside."""
    import_torchaudio()  # transformers imports it too, and fails where its extension does
    import transformers  # noqa: F401 - its logger is there from then on

    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    if said or warned:
        raise AssertionError([*said, *(str(each.message) for each in warned)])


def loaded(folder: Path) -> Any:
    """The model by the class that the folder names, in evaluation mode; every tensor finds its place."""
    import_torchaudio()
    import transformers

    (named,) = json.loads((folder / "config.json").read_text(encoding="utf-8"))["architectures"]
    with no_word():
        model, told = getattr(transformers, named).from_pretrained(folder, output_loading_info=True)
    if any(told.values()):
        raise AssertionError(told)
    return model.eval()


def model_of(config: EncoderConfig, model_class: str = "HubertModel", *, seed: int = 0, **entries: Any) -> Any:
    """A model of transformers of this geometry with seeded weights."""
    import_torchaudio()
    import transformers

    kind, stem = ("hubert", "Hubert") if model_class.startswith("Hubert") else ("wav2vec2", "Wav2Vec2")
    settings = config_entries(folder_config(config, kind), masked=True) | entries
    torch.manual_seed(seed)
    made = getattr(transformers, model_class)(getattr(transformers, f"{stem}Config")(**settings))
    with torch.no_grad():
        for name, tensor in made.named_parameters():
            if name.endswith(("bias", "layer_norm.weight", "original0")):  # which begin as 0 or 1
                tensor += 0.2 * torch.randn(tensor.shape)
    return made.eval()


def saved(model: Any, folder: Path, *, normalize: bool = False, **options: Any) -> Path:
    """What ``save_pretrained`` writes of a model, and of the feature extractor that belongs to it."""
    from transformers import Wav2Vec2FeatureExtractor

    model.save_pretrained(folder, **options)
    Wav2Vec2FeatureExtractor(do_normalize=normalize).save_pretrained(folder)
    return folder


def edit(path: Path, changes: Mapping[str, Any]) -> None:
    """Change entries of a JSON file; None takes one out."""
    entries = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({name: value for name, value in entries.items() if value is not None}), encoding="utf-8")
